package config

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// aws reads the variables of AWS's own that are honoured, with the meaning AWS gives them.
func (p *parser) aws() {
	a := &p.cfg.AWS
	region := envRegion
	if p.env[region] == "" {
		region = "AWS_DEFAULT_REGION"
	}
	p.noRegion = p.env[region] == ""
	setting(p, region, parseRegion, &a.Region)
	setting(p, "AWS_USE_FIPS_ENDPOINT", parseBool, &a.FIPS)
	setting(p, "AWS_USE_DUALSTACK_ENDPOINT", parseBool, &a.DualStack)
	setting(p, "AWS_MAX_ATTEMPTS", parseCount, &a.MaxAttempts)
	p.authorities()
	p.credentials()
	p.endpoints()
}

// authorities reads the certificates to trust instead of the system's. What else is in the file is passed over: bundles
// hold remarks and, now and then, a certificate of a kind that Go does not read.
func (p *parser) authorities() {
	const envBundle = "AWS_CA_BUNDLE"
	path := p.env[envBundle]
	if path == "" {
		return
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		p.envFault("%s: %s cannot be read: %v", envBundle, path, plain(err))
		return
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		p.envFault("%s: %s holds no certificate in PEM form", envBundle, path)
	}
	p.cfg.AWS.RootCAs = roots
}

// credentials reads the keys and where else credentials come from. Values appear in no message.
func (p *parser) credentials() {
	a := &p.cfg.AWS
	const envAccessKeyID = "AWS_ACCESS_KEY_ID"
	id, key := p.env[envAccessKeyID], p.env[envSecretAccessKey]
	switch {
	case id != "" && key != "":
		a.AccessKeyID, a.SecretAccessKey, a.SessionToken = id, key, p.env[envSessionToken]
	case id != "":
		p.warnings = append(p.warnings, Fault{Text: envAccessKeyID + ": not used, because " + envSecretAccessKey + " is not set"})
	case key != "":
		p.warnings = append(p.warnings, Fault{Text: envSecretAccessKey + ": not used, because " + envAccessKeyID + " is not set"})
	}

	const envRelative, envFull = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	if uri := p.env[envRelative]; uri != "" {
		a.ContainerURI = "http://169.254.170.2" + uri
		if u, err := url.Parse(a.ContainerURI); err != nil || !strings.HasPrefix(uri, "/") || u.Host != "169.254.170.2" {
			p.envFault("%s: not a path that begins with /", envRelative)
		}
	} else if uri := p.env[envFull]; uri != "" {
		a.ContainerURI = uri
		if u, ok := httpURL(uri); !ok {
			p.envFault("%s: not an http or https URL with a host", envFull)
		} else if u.Scheme == "http" && !isNearby(u.Hostname()) {
			p.envFault("%s: plain http to a host other than this one or the container agents of AWS (use https)", envFull)
		}
	}
	a.ContainerToken = p.env[envContainerToken]
	if strings.ContainsAny(a.ContainerToken, "\r\n") {
		p.envFault("%s: holds a line break, which no header may", envContainerToken)
	}
	a.ContainerTokenFile = p.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
}

// isNearby reports whether credentials may be asked for over plain http: the same host, or the link-local addresses of
// the agents of ECS (169.254.170.2) and EKS Pod Identity (169.254.170.23, fd00:ec2::23).
func isNearby(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || slices.Contains([]string{"169.254.170.2", "169.254.170.23", "fd00:ec2::23"}, ip.String()))
}

// endpoints reads the URLs that take the place of AWS's own: a service's, else the one for all services.
func (p *parser) endpoints() {
	ignore := false
	setting(p, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", parseBool, &ignore)
	if ignore {
		return
	}
	read := func(name string) string {
		text := p.env[name]
		if _, ok := httpURL(text); text != "" && !ok {
			// The URL may hold a password, so it is not repeated.
			p.envFault("%s: not an http or https URL with a host", name)
		}
		return text
	}
	a := &p.cfg.AWS
	all := read("AWS_ENDPOINT_URL")
	for _, service := range []struct {
		name string
		dst  *string
	}{
		{"AWS_ENDPOINT_URL_SSM", &a.EndpointSSM},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER", &a.EndpointSecretsManager},
		{"AWS_ENDPOINT_URL_DYNAMODB", &a.EndpointDynamoDB},
	} {
		if *service.dst = read(service.name); *service.dst == "" {
			*service.dst = all
		}
	}
}

func httpURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}
