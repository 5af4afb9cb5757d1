package parts

import (
	"context"
	"io"
)

// Skopeo returns the path of a program that reads container images. It belongs to the system like Chromium.
func Skopeo(ctx context.Context, root string, progress io.Writer) (string, error) {
	return system{"skopeo", []string{"skopeo"}, "skopeo"}.path(ctx, root, progress)
}
