// Package config decides what the user asked for: it turns config.yaml and the environment into one checked Config, or
// into the list of everything that is wrong with them.
package config

import (
	"crypto/x509"
	"log/slog"
	"time"
)

// Config is a checked configuration with every default and precedence (entry > environment > file > default) applied.
type Config struct {
	File                 string        // path the configuration was read from
	TTL                  time.Duration // freshness of an entry without its own
	StaleWhileRevalidate time.Duration // after TTL, answer with the old value this long while it is refreshed
	StaleIfError         time.Duration // after TTL, answer with the old value this long when AWS fails
	StaleWait            time.Duration // with such a value at hand, a reader waits this long for AWS
	NegativeTTL          time.Duration // how long "missing" and "denied" are remembered
	Timeout              time.Duration // bound of one fetch, retries included
	Prefetch             bool          // fetch everything at start
	PrefetchTimeout      time.Duration // bound of all of prefetch

	Server  Server
	Log     Log
	Metrics bool // write metrics for CloudWatch, when in Lambda
	Memory  Memory
	Shared  *Shared // nil for none
	AWS     AWS

	Parameters []Parameter // one per served name, in the order of the file
	Secrets    []Secret
	Items      []Item // section dynamodb

	Warnings Faults // what is odd but no reason to stop, sorted by line
}

// Server is the HTTP side of the configuration.
type Server struct {
	Port       int    // 0 takes a free port
	Token      string // what callers must send in X-Aws-Parameters-Secrets-Token; empty when server.token is off
	MaxWaiting int    // readers that may wait for AWS at one time
}

// Log says how much is logged.
type Log struct {
	Level slog.Level
}

// Memory bounds what is kept under the names of all open entries together. What other entries name is never evicted.
type Memory struct {
	MaxEntries int   // at least 1, remembered failures included
	MaxBytes   int64 // at least 1
}

// Shared is a cache that the environments of a fleet have in common, on a server of Valkey or Redis.
type Shared struct {
	Line      int           // of the section
	URL       string        // redis, rediss, valkey or valkeys, with a host; it may hold a password
	Prefix    string        // of every key there; may be empty
	Kinds     []string      // the sections of the file whose values are shared, each once
	KeySecret string        // name of the declared secret that values are sealed with; empty for none, and then Kinds lacks secrets
	Timeout   time.Duration // bound of what it may cost a fetch
}

// Entry is what entries of every kind have. An open entry stands for all names that match its Pattern. The texts that say
// what it reads (ID, and Value of both parts of a key) are templates then, as is Name: Fill makes an entry of it once
// there is a name.
type Entry struct {
	Line         int           // line of the entry, for a names group the line of the name
	Name         string        // as served to callers; of an open entry, the pattern as written, with variables expanded
	Pattern      *Pattern      // of an open entry; nil for one that is served under its Name
	Region       string        // the entry's, else its ARN's, else AWS_REGION; empty only where Options.Check allowed it
	TTL          time.Duration // 0: every read goes to AWS
	StaleIfError time.Duration
	Required     bool // starting without it makes no sense
}

// Parameter is one entry of Parameter Store: one parameter, or everything below a path.
type Parameter struct {
	Entry
	ID       string // name or ARN without version or label; empty for a path
	Selector string // version number or label; empty for the latest version
	Path     string // as written; empty for a single parameter
	Label    string // with Path: only parameters that carry this label
}

// Secret is one entry of Secrets Manager.
type Secret struct {
	Entry
	ID        string // name or ARN
	Stage     string // version stage; empty means AWSCURRENT
	VersionID string // empty for the version Stage selects
}

// Item is one DynamoDB item.
type Item struct {
	Entry
	Table      string // name or ARN
	Hash       KeyPart
	Sort       KeyPart  // Name is empty where the table has no sort key
	Fields     []string // top-level attributes to fetch; nil fetches all
	Consistent bool     // strongly consistent read
}

// KeyPart is one attribute of a DynamoDB primary key.
type KeyPart struct {
	Name  string
	Type  string // "S", "N" or "B"
	Value string // text of S and N, raw bytes of B
}

// AWS holds the AWS_* variables that are honoured, see docs/config.md.
type AWS struct {
	Region          string // AWS_REGION, else AWS_DEFAULT_REGION
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string

	ContainerURI       string // full URL of the container credentials endpoint; empty when there is none
	ContainerToken     string // value for its Authorization header
	ContainerTokenFile string // file to read that value from at each refresh; wins over ContainerToken

	// Endpoint URLs by service, with AWS_ENDPOINT_URL and AWS_IGNORE_CONFIGURED_ENDPOINT_URLS applied; empty means AWS's own.
	EndpointSSM, EndpointSecretsManager, EndpointDynamoDB string

	FIPS, DualStack bool
	MaxAttempts     int            // requests per fetch, at least 1; 3 by default
	RootCAs         *x509.CertPool // authorities to trust instead of the system's; nil for the system's
}
