package early

import "testing"

func TestOneProcessor(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"beside a function", map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}, true},
		{"SnapStart", map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}, true},
		{"Managed Instances", map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances"}, false},
		{"GOMAXPROCS is set", map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "GOMAXPROCS": "4"}, false},
		{"not Lambda", nil, false},
	} {
		getenv := func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }
		if got := one(getenv); got != tt.want {
			t.Errorf("%s: one = %t, want %t", tt.name, got, tt.want)
		}
	}
}
