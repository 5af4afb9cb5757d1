package output

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log Log
		port := regexp.MustCompile(`port=(\d+)`)
		go func() {
			for _, part := range []string{"starting\n", "po", "rt=40", "00\n"} {
				time.Sleep(time.Second)
				log.Write([]byte(part))
			}
		}()
		found, err := log.Wait(t.Context(), regexp.MustCompile(port.String()+`\n`))
		if err != nil || found[1] != "4000" {
			t.Errorf("Wait: got %q, %v, want 4000", found, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = log.Wait(ctx, regexp.MustCompile("never"))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "starting") {
			t.Errorf("Wait for what is never said: got %v, want the deadline and what was said", err)
		}
	})
}
