package parts

import (
	"os"
	"strings"
	"testing"
)

func TestRedisOrValkey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("CI", "")
	if got, err := Redis(t.Context(), dir, os.Stderr); err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("Redis() = %q, %v, want an error that says how to install it", got, err)
	}
	for _, name := range []string{"redis-server", "valkey-server"} { // the second is the better
		want := program(t, dir, name, "")
		if got, err := Redis(t.Context(), dir, os.Stderr); got != want || err != nil {
			t.Errorf("Redis() = %q, %v, want %q", got, err, want)
		}
	}
}
