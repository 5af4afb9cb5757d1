package parts

import (
	"context"
	"io"
)

// Chromium returns the path of a browser that speaks the DevTools protocol. It belongs to the system, not to the checkout,
// so it is used as it is where it is on PATH, and installed with apt-get only by root with CI=true.
func Chromium(ctx context.Context, root string, progress io.Writer) (string, error) {
	chromium := system{"chromium", []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}, "chromium"}
	return chromium.path(ctx, root, progress)
}
