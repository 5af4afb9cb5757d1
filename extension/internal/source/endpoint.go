package source

import (
	"cmp"
	"net/url"
	"strings"

	"cache-extension/extension/internal/config"
)

// partition is a part of AWS with domains of its own.
type partition struct {
	prefix    string // of its regions
	suffix    string // of its endpoints
	dualStack string // of those that have IPv6 addresses, too
}

const govPrefix, chinaPrefix = "us-gov-", "cn-"

// partitions are those beside the public one, which has all other regions.
var partitions = []partition{
	{chinaPrefix, "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{govPrefix, "amazonaws.com", "api.aws"},
	{"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
}

// endpoint returns the URL to which calls of a service in a region go. Its error is a *failure.
func endpoint(s service, region string, conf config.AWS) (string, error) {
	own := map[service]string{
		systemsManager: conf.EndpointSSM,
		secretsManager: conf.EndpointSecretsManager,
		dynamoDB:       conf.EndpointDynamoDB,
	}[s]
	if own == "" {
		return "https://" + host(s, region, conf.FIPS, conf.DualStack) + "/", nil
	}
	u, err := url.Parse(own)
	switch {
	case err != nil:
		return "", &failure{text: "no request to AWS: the custom endpoint is not a URL"}
	case conf.FIPS || conf.DualStack:
		return "", &failure{text: "no request to AWS: FIPS and custom endpoint are not supported together, nor are dual stack and custom endpoint"}
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: cmp.Or(u.Path, "/"), RawPath: u.RawPath}).String(), nil
}

// host returns the name of AWS's own endpoint. The irregular ones are as the rules of the SDKs have them.
func host(s service, region string, fips, dualStack bool) string {
	p := partition{"", "amazonaws.com", "api.aws"}
	for _, other := range partitions {
		if strings.HasPrefix(region, other.prefix) {
			p = other
		}
	}
	name, suffix := string(s), p.suffix
	// In GovCloud the plain names of the others are FIPS endpoints.
	if fips && (s == secretsManager || dualStack || p.prefix != govPrefix) {
		name += "-fips"
	}
	// The plain name of Secrets Manager has addresses of both kinds.
	both := s == secretsManager && (p.prefix == "" || p.prefix == govPrefix || p.prefix == chinaPrefix && !fips)
	if dualStack && !both {
		suffix = p.dualStack
	}
	return name + "." + region + "." + suffix
}
