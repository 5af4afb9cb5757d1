package main

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryRowGivesFigures runs the whole of it. What the figures are says nothing here.
func TestEveryRowGivesFigures(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is measured on Linux only")
	}
	file := filepath.Join(t.TempDir(), "bench.json")
	var tables, progress bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json", file}, &tables, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var measured []string
	for _, r := range got.Rows {
		measured = append(measured, r.Name)
		if len(r.Figures) == 0 && r.Skipped == "" {
			t.Errorf("%s: no figures, and no reason", r.Name)
		}
		for _, f := range r.Figures {
			// The cost of a call is a difference, in which a disturbance may be larger than what is left.
			if us, ok := f.subject(ours); !ok || us.Median <= 0 && r.Name != "upstream" {
				t.Errorf("%s, %s: %+v, want a figure of %s above 0", r.Name, f.Name, f.Subjects, ours)
			}
		}
		if !strings.Contains(tables.String(), "## "+r.Title) {
			t.Errorf("no table of %s", r.Name)
		}
	}
	if want := names(rows()); !slices.Equal(measured, want) {
		t.Errorf("rows %q, want %q", measured, want)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct{ name, input, want string }{
		{"unknown row", "-rows start,stop", `there is no row "stop"`},
		{"part of a document", "-docs -rows start", "-docs goes with -rounds alone"},
		{"quick document", "-docs -quick", "-docs goes with -rounds alone"},
	} {
		err := run(t.Context(), strings.Fields(tt.input), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: run(%s) = %v, want %q", tt.name, tt.input, err, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []row{{name: "hit"}, {name: "small-1"}, {name: "small-2"}, {name: "smaller"}}
	for _, tt := range []struct {
		name, input string
		want        []string
	}{
		{"all", "", []string{"hit", "small-1", "small-2", "smaller"}},
		{"one", "hit", []string{"hit"}},
		{"by first word, in the order asked for", "small,hit", []string{"small-1", "small-2", "hit"}},
	} {
		got, err := choose(all, tt.input)
		if err != nil || !slices.Equal(names(got), tt.want) {
			t.Errorf("%s: choose(%q) = %q, %v, want %q", tt.name, tt.input, names(got), err, tt.want)
		}
	}
}

// TestFarTakesRoundTrips counts them: TCP, TLS and the answer on a new connection, the answer alone on one that is kept.
func TestFarTakesRoundTrips(t *testing.T) {
	const trip = 20 * time.Millisecond
	plain, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	listener, trusted, err := secure(far{plain, trip})
	if err != nil {
		t.Fatal(err)
	}
	u := startUpstream(listener, 0, text(valueSize))
	defer u.stop()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for i, want := range []int{3, 1, 1, 1} {
		start := time.Now()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(u.url, "http:", "https:", 1), strings.NewReader(`{"Name":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "AmazonSSM.GetParameter")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		// A busy machine makes it longer, nothing makes it shorter.
		if took := time.Since(start); took < time.Duration(want)*trip {
			t.Errorf("call %d took %v, want at least %d round trips of %v", i+1, took, want, trip)
		}
	}
}

func TestUnpack(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string]string{"go.mod": "module m\n", "a/b/c.go": "package b\n"} {
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))}), write(w, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unpack(&archive, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "b", "c.go")); err != nil || string(got) != "package b\n" {
		t.Errorf("a/b/c.go: %q, %v", got, err)
	}
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}
