package parts

import (
	"context"
	"io"
)

// Redis returns the path of a server of the shared tier, Valkey or Redis, which speak one protocol. Debian 12 has Redis
// alone. It belongs to the system like Chromium.
func Redis(ctx context.Context, root string, progress io.Writer) (string, error) {
	server := system{"redis", []string{"valkey-server", "redis-server"}, "redis-server"}
	return server.path(ctx, root, progress)
}
