package metrics

import (
	"time"

	"cache-extension/extension/internal/cache"
)

// line is one document of the Embedded Metric Format. Every metric costs money, so only those that one draws or is alarmed
// by are metrics; what explains them stands beside them and can be searched in the log.
type line struct {
	AWS metadata `json:"_aws"`

	// Dimensions.
	FunctionName string
	CacheType    string

	// Metrics: what was counted since the last line, and what is held now.
	Hits    uint64
	Stale   uint64
	Misses  uint64
	Errors  uint64 // fetches that failed
	Entries int
	Bytes   int64

	// Not metrics, but counted likewise. The classes add up to Errors.
	Collapsed       uint64
	Fetches         uint64
	ErrorsMissing   uint64
	ErrorsDenied    uint64
	ErrorsThrottled uint64
	ErrorsTimeout   uint64
	ErrorsUpstream  uint64
}

// metadata tells CloudWatch which members of the line are what.
type metadata struct {
	Timestamp         int64 // milliseconds since 1970
	CloudWatchMetrics []directive
}

type directive struct {
	Namespace  string
	Dimensions [][]string // members that are one set of dimensions
	Metrics    []definition
}

type definition struct {
	Name string // of a member
	Unit string
}

// newLine returns the line for what changed between two states of a cache's counters.
func newLine(now time.Time, function, cachetype string, was, is cache.Stats) line {
	return line{
		AWS: metadata{
			Timestamp: now.UnixMilli(),
			CloudWatchMetrics: []directive{{
				Namespace:  Namespace,
				Dimensions: [][]string{{"FunctionName", "CacheType"}},
				Metrics: []definition{
					{"Hits", "Count"}, {"Stale", "Count"}, {"Misses", "Count"}, {"Errors", "Count"},
					{"Entries", "Count"}, {"Bytes", "Bytes"},
				},
			}},
		},
		FunctionName:    function,
		CacheType:       cachetype,
		Hits:            is.Hits - was.Hits,
		Stale:           is.Stale - was.Stale,
		Misses:          is.Misses - was.Misses,
		Errors:          is.Errors.Sum() - was.Errors.Sum(),
		Entries:         is.Entries,
		Bytes:           is.Bytes,
		Collapsed:       is.Collapsed - was.Collapsed,
		Fetches:         is.Fetches - was.Fetches,
		ErrorsMissing:   is.Errors.Missing - was.Errors.Missing,
		ErrorsDenied:    is.Errors.Denied - was.Errors.Denied,
		ErrorsThrottled: is.Errors.Throttled - was.Errors.Throttled,
		ErrorsTimeout:   is.Errors.Timeout - was.Errors.Timeout,
		ErrorsUpstream:  is.Errors.Upstream - was.Errors.Upstream,
	}
}
