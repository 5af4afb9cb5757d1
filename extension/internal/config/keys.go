package config

// The sections that entries stand in, which are also the cachetypes that callers ask for.
const (
	parametersSection = "parameters"
	secretsSection    = "secrets"
	dynamodbSection   = "dynamodb"
)

// The keys of each mapping in the file, in the order messages and suggestions prefer. docs/config.md names them all.
var (
	topKeys = []string{
		"ttl", "stale_while_revalidate", "stale_if_error", "stale_wait", "negative_ttl", "timeout",
		"prefetch", "prefetch_timeout", "server", "log", "metrics", "memory", "shared", parametersSection, secretsSection, dynamodbSection,
	}
	serverKeys = []string{"port", "token", "max_waiting"}
	logKeys    = []string{"level"}
	memoryKeys = []string{"max_entries", "max_bytes"}
	sharedKeys = []string{"url", "prefix", "kinds", "key_secret", "timeout"}

	entryKeys     = []string{"region", "as", "allow", "ttl", "stale_if_error", "required"} // of every kind of entry
	parameterKeys = []string{"name", "names", "path", "version", "label"}
	secretKeys    = []string{"name", "names", "stage", "version_id"}
	itemKeys      = []string{
		"table", "key", "hashkey", "hashkeytype", "hashkeyvalue", "sortkey", "sortkeytype", "sortkeyvalue", "fields", "consistent",
	}
)
