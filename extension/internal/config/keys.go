package config

// The keys of each mapping in the file, in the order messages and suggestions prefer. docs/config.md names them all.
var (
	topKeys = []string{
		"ttl", "stale_while_revalidate", "stale_if_error", "stale_wait", "negative_ttl", "timeout",
		"prefetch", "prefetch_timeout", "server", "log", "metrics", "parameters", "secrets", "dynamodb",
	}
	serverKeys = []string{"port", "token", "max_waiting"}
	logKeys    = []string{"level"}

	entryKeys     = []string{"region", "as", "ttl", "stale_if_error", "required"} // of every kind of entry
	parameterKeys = []string{"name", "names", "path", "version", "label"}
	secretKeys    = []string{"name", "names", "stage", "version_id"}
	itemKeys      = []string{
		"table", "key", "hashkey", "hashkeytype", "hashkeyvalue", "sortkey", "sortkeytype", "sortkeyvalue", "fields", "consistent",
	}
)
