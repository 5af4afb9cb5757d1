package config

import (
	"errors"
	"fmt"
	"strings"
)

// arn is what matters here of arn:partition:service:region:account:resource.
type arn struct {
	region, resource string
}

// isARN reports whether text is meant as an ARN. No name of a parameter, secret or table may hold a colon.
func isARN(text string) bool { return strings.HasPrefix(text, "arn:") }

// parseARN takes text apart, which must be the ARN of a service's resource whose text begins with prefix.
func parseARN(text, service, prefix string) (arn, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[1] == "" || parts[2] != service || parts[4] == "" ||
		!strings.HasPrefix(parts[5], prefix) || len(parts[5]) == len(prefix) {
		return arn{}, fmt.Errorf("is not an ARN of the form arn:aws:%s:us-west-2:123456789012:%sNAME", service, prefix)
	}
	if len(placeholders(strings.Join(parts[:5], ":"))) > 0 {
		return arn{}, errors.New("is an ARN with a placeholder in front of the resource's name (write that part out)")
	}
	if _, err := parseRegion(parts[3]); err != nil {
		return arn{}, errors.New("is an ARN without a region (such as us-west-2)")
	}
	return arn{region: parts[3], resource: parts[5]}, nil
}
