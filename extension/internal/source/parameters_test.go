package source

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

func TestParameterValues(t *testing.T) {
	const arn = "arn:aws:ssm:eu-west-1:" + awstest.Account + ":parameter/app/db"
	tests := []struct{ name, input, want string }{
		{"a string", "plain", "one\n"},
		{"a list", "list", "a,b,c"},
		{"a secure string", "/app/db", "new"},
		{"a version", "/app/db:1", "old"},
		{"a label", "/app/db:live", "old"},
		{"an ARN", arn, "new"},
		{"a version by ARN", arn + ":1", "old"},
		{"a secret", config.SecretReference + "db", "hush"},
		{"bytes as they are", "odd", "\u0000 <&> \u2028 \" é"},
	}
	prepare := func(t *testing.T) (*awstest.Fake, *Parameters, []string) {
		fake := awstest.New(t)
		fake.PutParameter(here, "plain", awstest.Parameter{Value: "one\n"})
		fake.PutParameter(here, "list", awstest.Parameter{Value: "a,b,c", Type: "StringList"})
		fake.PutParameter(here, "/app/db", awstest.Parameter{Value: "old", Type: "SecureString", Labels: []string{"live"}})
		fake.PutParameter(here, "/app/db", awstest.Parameter{Value: "new", Type: "SecureString"})
		fake.PutParameter(here, "odd", awstest.Parameter{Value: "\u0000 <&> \u2028 \" é"})
		fake.PutSecret(here, "db", awstest.Secret{Text: "hush"})
		var entries []config.Parameter
		var names []string
		for _, tt := range tests {
			e := parameter1(tt.input)
			if strings.HasPrefix(tt.input, "arn:") {
				e.ID, e.Selector = arn, strings.TrimPrefix(tt.input[len(arn):], ":")
			}
			entries = append(entries, e)
			names = append(names, tt.input)
		}
		return fake, parameters(t, fake, entries...), names
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake, s, _ := prepare(t)
			equal(t, tt.name, bodies(t, s, tt.input), map[string]string{tt.input: tt.want})
			wantCalls(t, fake, map[string]int{"GetParameter": 1})
		})
	}
	for _, short := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fake, s, names := prepare(t)
			fake.ShortReferenceNames = short
			want := make(map[string]string)
			for _, tt := range tests {
				want[tt.input] = tt.want
			}
			equal(t, "one batch", bodies(t, s, names...), want)
			// The ARN and the name of /app/db get one and the same answer, with and without :1.
			wantCalls(t, fake, map[string]int{"GetParameters": 1, "GetParameter": 4})
		})
	}
}

func TestShortReferenceNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.ShortReferenceNames = true
		fake.PutSecret(here, "a", awstest.Secret{Text: "secret a"})
		fake.PutSecret(here, "b", awstest.Secret{Text: "secret b"})
		fake.PutParameter(here, "b", awstest.Parameter{Value: "parameter b"})
		names := []string{config.SecretReference + "a", config.SecretReference + "b", "b", config.SecretReference + "c", "c"}
		var entries []config.Parameter
		for _, name := range names {
			entries = append(entries, parameter1(name))
		}
		got := fetch(t, t.Context(), parameters(t, fake, entries...), names...)
		for i, want := range []string{"secret a", "secret b", "parameter b"} {
			if o := got[names[i]]; o.err != nil || string(o.value.Body) != want {
				t.Errorf("%s = %v, %v, want %q", names[i], o.value, o.err, want)
			}
		}
		wantClass(t, names[3], got[names[3]].err, cache.ErrMissing)
		wantClass(t, names[4], got[names[4]].err, cache.ErrMissing)
		wantCalls(t, fake, map[string]int{"GetParameters": 1, "GetParameter": 2})
	})
}

func TestParameterBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		var entries []config.Parameter
		var names []string
		for i := range 23 {
			name := fmt.Sprintf("p%02d", i)
			e := parameter1(name)
			if i >= 12 {
				e.Region = there
			}
			entries = append(entries, e)
			names = append(names, name)
			if i%4 != 0 {
				fake.PutParameter(cmp.Or(e.Region, here), name, awstest.Parameter{Value: name})
			}
		}
		got := fetch(t, t.Context(), parameters(t, fake, entries...), names...)
		for i, name := range names {
			if i%4 == 0 {
				wantClass(t, name, got[name].err, cache.ErrMissing)
			} else if got[name].err != nil || string(got[name].value.Body) != name {
				t.Errorf("%s = %v, %v", name, got[name].value, got[name].err)
			}
		}
		// 12 here and 11 there: ten at a time, and the last one there alone.
		wantCalls(t, fake, map[string]int{"GetParameters": 3, "GetParameter": 1})
		if err := got["p04"].err.Error(); err != "no such parameter, version or label (InvalidParameters)" {
			t.Errorf("error = %q", err)
		}
	})
}

func TestMatchParameters(t *testing.T) {
	ask := func(name string) *parameter {
		id, selector, _ := strings.Cut(name, ":")
		return &parameter{id: id, selector: selector}
	}
	answer := func(name, selector, value string) found {
		p := found{Name: name, Value: &value}
		if selector != "" {
			p.Selector = ":" + selector
		}
		return p
	}
	tests := []struct {
		name  string
		asked []string
		input []found
		want  []string // by asked; "" for one without an answer
	}{
		{"in another order", []string{"a", "b"}, []found{answer("b", "", "2"), answer("a", "", "1")}, []string{"1", "2"}},
		{"by selector", []string{"a", "a:3", "a:live"},
			[]found{answer("a", "live", "3"), answer("a", "3", "2"), answer("a", "", "1")}, []string{"1", "2", "3"}},
		{"without the selectors", []string{"a", "a:3", "b"},
			[]found{answer("a", "", "1"), answer("a", "", "2"), answer("b", "", "3")}, []string{"", "", "3"}},
		{"twice the same", []string{"a", "b"}, []found{answer("a", "", "1"), answer("a", "", "1")}, []string{"", ""}},
		{"thrice the same", []string{"a", "b"},
			[]found{answer("a", "", "1"), answer("a", "", "1"), answer("a", "", "1")}, []string{"", ""}},
		{"nothing asked for", []string{"a", "b"}, []found{answer("c", "", "1"), answer("b", "", "2")}, []string{"", "2"}},
		{"one asked for, one came", []string{"a:3"}, []found{answer("somehow", "", "1")}, []string{"1"}},
		{"a secret and a parameter of one name", []string{"a", config.SecretReference + "a", "b"},
			[]found{answer("a", "", "1"), answer("b", "", "2")}, []string{"", "", "2"}},
		{"an empty answer", []string{"a", "b"}, []found{{}}, []string{"", ""}},
	}
	for _, tt := range tests {
		var asked []*parameter
		for _, name := range tt.asked {
			asked = append(asked, ask(name))
		}
		matched := matchParameters(asked, tt.input)
		var got []string
		for _, p := range asked {
			value := ""
			if matched[p] != nil {
				value = *matched[p].Value
			}
			got = append(got, value)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: matchParameters(%q) = %q, want %q", tt.name, tt.asked, got, tt.want)
		}
	}
}

func TestPath(t *testing.T) {
	path := func(path, label string) config.Parameter {
		return config.Parameter{Entry: config.Entry{Name: path + label}, Path: path, Label: label}
	}
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.Latency(50 * time.Millisecond)
		for i := range 24 {
			var labels []string
			if i == 7 {
				labels = []string{"live"}
			}
			fake.PutParameter(here, fmt.Sprintf("/app/%02d", i), awstest.Parameter{Value: fmt.Sprint(i), Labels: labels})
		}
		fake.PutParameter(here, "/app/07", awstest.Parameter{Value: "newer"})
		fake.PutParameter(here, "/app/deep/er", awstest.Parameter{Value: "\"é\"\n", Type: "SecureString"})
		fake.PutParameter(here, "/apple", awstest.Parameter{Value: "no"})
		s := parameters(t, fake, path("/app/", ""), path("/app", "live"), path("/none/", ""), parameter1("/apple"))

		got := fetch(t, t.Context(), s, "/app/", "/applive", "/none/", "/apple", "/app/deep/er")
		for name, want := range map[string]string{"/applive": `{"07":"7"}`, "/none/": `{}`, "/apple": "no"} {
			if got[name].err != nil || string(got[name].value.Body) != want {
				t.Errorf("%s = %v, %v, want %s", name, got[name].value, got[name].err, want)
			}
		}
		all := got["/app/"].value
		if all == nil || got["/app/deep/er"].value != all {
			t.Fatalf("/app/ = %p, /app/deep/er = %p, want the same", all, got["/app/deep/er"].value)
		}
		body := string(all.Body)
		if !strings.HasPrefix(body, `{"00":"0","01":"1",`) || !strings.HasSuffix(body, `"23":"23","deep/er":"\"é\"\n"}`) {
			t.Errorf("body of /app/ = %s", body)
		}
		equal(t, "members", len(all.Members), 25)
		equal(t, "member deep/er", string(all.Members["deep/er"].Body), "\"é\"\n")
		equal(t, "member 07", string(all.Members["07"].Body), "newer")
		// Three pages each of /app/ and of /app with a label, of which two are empty.
		wantCalls(t, fake, map[string]int{"GetParametersByPath": 7, "GetParameter": 1})
		for _, c := range fake.Calls() {
			// IAM compares the path to the letter, and policies are written without a slash at the end.
			if strings.HasSuffix(c.Names[0], "/") {
				t.Errorf("%s asked for %q, want no slash at the end", c.Op, c.Names[0])
			}
		}
	})
}

func TestPathPagesHaveTheirOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		for i := range 25 {
			fake.PutParameter(here, fmt.Sprintf("/app/%02d", i), awstest.Parameter{Value: "x"})
		}
		fake.Latency(1500 * time.Millisecond)
		s := parameters(t, fake, config.Parameter{Entry: config.Entry{Name: "/app"}, Path: "/app"})
		if o := fetch(t, t.Context(), s, "/app")["/app"]; o.err != nil || len(o.value.Members) != 25 {
			t.Errorf("/app = %v, %v, want 25 members", o.value, o.err)
		}
		fake.Fail(awstest.Match{Op: "GetParametersByPath"}, awstest.Fault{Code: "AccessDeniedException"})
		wantClass(t, "/app", fetch(t, t.Context(), s, "/app")["/app"].err, cache.ErrDenied)
	})
}

func TestBatchDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		for _, name := range []string{"a", "b", "c"} {
			fake.PutParameter(here, name, awstest.Parameter{Value: name})
		}
		s := parameters(t, fake, parameter1("a"), parameter1("b"), parameter1("c"), parameter1("private"))
		fake.Fail(awstest.Match{Op: "GetParameters"}, awstest.Fault{Code: "AccessDeniedException"})
		fake.Fail(awstest.Match{Op: "GetParameter", Name: "private"}, awstest.Fault{Code: "AccessDeniedException"})
		steps := []struct {
			name  string
			pause time.Duration
			want  map[string]int
		}{
			{"the first time", 0, map[string]int{"GetParameters": 2, "GetParameter": 4}},
			{"known", learned - time.Second, map[string]int{"GetParameters": 1, "GetParameter": 4}},
			// What worked the last time counts from when it was first seen.
			{"forgotten", time.Second, map[string]int{"GetParameters": 2, "GetParameter": 4}},
		}
		for _, step := range steps {
			time.Sleep(step.pause)
			fake.Reset()
			got := fetch(t, t.Context(), s, "a", "b", "c", "private")
			for _, name := range []string{"a", "b", "c"} {
				if got[name].err != nil {
					t.Errorf("%s: %s: %v", step.name, name, got[name].err)
				}
			}
			wantClass(t, step.name+": private", got["private"].err, cache.ErrDenied)
			wantCalls(t, fake, step.want)
		}
	})
}

func TestSingleDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutParameter(here, "a", awstest.Parameter{Value: "a"})
		s := parameters(t, fake, parameter1("a"), parameter1("gone"))
		fake.Fail(awstest.Match{Op: "GetParameter"}, awstest.Fault{Code: "AccessDeniedException"})
		equal(t, "a", bodies(t, s, "a"), map[string]string{"a": "a"})
		wantCalls(t, fake, map[string]int{"GetParameter": 1, "GetParameters": 1})
		fake.Reset()
		wantClass(t, "gone", fetch(t, t.Context(), s, "gone")["gone"].err, cache.ErrMissing)
		wantCalls(t, fake, map[string]int{"GetParameters": 1})

		fake.Clear()
		fake.Reset()
		fake.Fail(awstest.Match{Op: "GetParameters"}, awstest.Fault{Code: "AccessDeniedException"})
		equal(t, "a, the other way round", bodies(t, s, "a"), map[string]string{"a": "a"})
		wantCalls(t, fake, map[string]int{"GetParameters": 1, "GetParameter": 1})
	})
}

func TestDeniedThenTrouble(t *testing.T) {
	tests := []struct {
		name  string
		input awstest.Fault
		want  error
	}{
		{"denied both ways", awstest.Fault{Code: "AccessDeniedException"}, cache.ErrDenied},
		{"a hang does not unsay it", awstest.Fault{Hang: true}, cache.ErrDenied},
		{"throttled, so it may be readable", awstest.Fault{Code: "ThrottlingException"}, cache.ErrThrottled},
		{"failed, so it may be readable", awstest.Fault{Code: "InternalServerError", Status: 500}, nil},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			fake.Fail(awstest.Match{Op: "GetParameter"}, awstest.Fault{Code: "AccessDeniedException"})
			fake.Fail(awstest.Match{Op: "GetParameters"}, tt.input)
			wantClass(t, tt.name, fetch(t, t.Context(), parameters(t, fake, parameter1("a")), "a")["a"].err, tt.want)
		})
	}
}

func TestBatchFails(t *testing.T) {
	denied := awstest.Fault{Code: "AccessDeniedException"}
	tests := []struct {
		name         string
		batch, one   awstest.Fault
		want         error // of the first name; the second has none where the batch is taken apart
		apart        bool
		wantAttempts int
	}{
		{"invalid", awstest.Fault{Code: "ValidationException"}, denied, cache.ErrDenied, true, 1},
		{"not decrypted", awstest.Fault{Code: "InvalidKeyId"}, awstest.Fault{Code: "InvalidKeyId"}, nil, true, 1},
		{"a web page", awstest.Fault{NotJSON: true}, awstest.Fault{NotJSON: true}, nil, true, 1},
		{"invalid, then silence: the error counts", awstest.Fault{Code: "ValidationException"}, awstest.Fault{Hang: true}, nil, true, 1},
		{"denied, then silence: perhaps only the other was", denied, awstest.Fault{Hang: true}, cache.ErrTimeout, true, 1},
		{"throttled", awstest.Fault{Code: "ThrottlingException"}, denied, cache.ErrThrottled, false, 3},
		{"a server error", awstest.Fault{Code: "InternalServerError", Status: 500}, denied, nil, false, 3},
		{"no credentials", awstest.Fault{Code: "ExpiredTokenException"}, denied, nil, false, 1},
		{"no connection", awstest.Fault{Err: awstest.ErrRefused}, denied, nil, false, 3},
		{"silence", awstest.Fault{Hang: true}, denied, cache.ErrTimeout, false, 1},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			fake.PutParameter(here, "b", awstest.Parameter{Value: "b"})
			fake.Fail(awstest.Match{Op: "GetParameters", Name: "b"}, tt.batch)
			fake.Fail(awstest.Match{Op: "GetParameter", Name: "a"}, tt.one)
			fake.Fail(awstest.Match{Op: "GetParameters", Name: "a"}, tt.one)
			got := fetch(t, t.Context(), parameters(t, fake, parameter1("a"), parameter1("b")), "a", "b")
			wantClass(t, tt.name+": a", got["a"].err, tt.want)
			if tt.apart != (got["b"].err == nil) {
				t.Errorf("%s: error of b %v", tt.name, got["b"].err)
			}
			if !tt.apart {
				wantCalls(t, fake, map[string]int{"GetParameters": tt.wantAttempts})
			}
		})
	}
}

func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "b", awstest.Secret{Text: "b"})
		fake.Fail(awstest.Match{Name: "a"}, awstest.Fault{Panic: true})
		got := fetch(t, t.Context(), secrets(t, fake, secret1("a"), secret1("b")), "a", "b")
		var panicked *cache.PanicError
		if !errors.As(got["a"].err, &panicked) || len(panicked.Stack) == 0 {
			t.Errorf("error of a = %v, want a panic with its stack", got["a"].err)
		}
		if got["b"].err != nil {
			t.Errorf("error of b = %v", got["b"].err)
		}
		got = fetch(t, t.Context(), parameters(t, fake, parameter1("a"), parameter1("b")), "a", "b")
		if !errors.As(got["a"].err, &panicked) || !errors.As(got["b"].err, &panicked) {
			t.Errorf("errors of a batch = %v, %v, want a panic each", got["a"].err, got["b"].err)
		}
	})
}
