package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadConfigs holds the whole message of each file under testdata/bad. The first line of a file may be a comment with
// the environment it is read in. UPDATE_GOLDEN=1 writes the messages anew, for a person to read.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := readTestFile(t, file)
			_, err := Parse("config.yaml", data, Options{Env: envOf(string(data))})
			if err == nil {
				t.Fatalf("Parse(%s) = no error", file)
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(readTestFile(t, golden)); got != want {
				t.Errorf("Parse(%s) =\n%s\nwant\n%s", file, got, want)
			}
			if strings.Contains(got, "hunter") {
				t.Errorf("Parse(%s) repeats the value of a variable:\n%s", file, got)
			}
		})
	}
}

// envOf returns the environment that the first line of a test's file asks for, else one with a region.
func envOf(text string) []string {
	first, _, _ := strings.Cut(text, "\n")
	if list, ok := strings.CutPrefix(first, "# env:"); ok {
		return strings.Fields(list)
	}
	return []string{"AWS_REGION=us-west-2"}
}

func readTestFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
