package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// expiryWindow is how long before their end credentials are renewed.
	expiryWindow = 5 * time.Minute
	// cliTimeout leaves time to type an MFA code.
	cliTimeout = time.Minute
)

// newCredentials returns the first that there is: keys in the environment, a container's endpoint (SnapStart, ECS, EKS Pod
// Identity), and on a developer's machine the AWS CLI, which knows profiles, single sign-on, roles and MFA. Nothing is
// fetched before the first use.
func newCredentials(conf config.AWS, timeout time.Duration, client aws.HTTPClient, local bool) aws.CredentialsProvider {
	var p aws.CredentialsProvider
	switch {
	case conf.AccessKeyID != "":
		keys := aws.Credentials{AccessKeyID: conf.AccessKeyID, SecretAccessKey: conf.SecretAccessKey, SessionToken: conf.SessionToken}
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	case conf.ContainerURI != "":
		p = guarded{containerCredentials(conf, client), timeout, explainContainer}
	case local:
		p = guarded{aws.CredentialsProviderFunc(cliCredentials), cliTimeout, explainCLI}
	default:
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, &failure{text: "no AWS credentials: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"}
		})
	}
	return aws.NewCredentialsCache(p, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow })
}

func containerCredentials(conf config.AWS, client aws.HTTPClient) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		token := conf.ContainerToken
		if conf.ContainerTokenFile != "" {
			fromFile, err := os.ReadFile(conf.ContainerTokenFile)
			if err != nil {
				return aws.Credentials{}, err
			}
			token = strings.TrimSpace(string(fromFile))
		}
		var c aws.Credentials
		err := try(ctx, newRetryer(conf.MaxAttempts), func() (err error) {
			c, err = askContainer(ctx, client, conf.ContainerURI, token)
			return err
		})
		return c, err
	})
}

// provided is credentials as those who provide them write them.
type provided struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Expiration      *time.Time
}

// credentials returns p together with a token, which goes by several names. Its error is errMalformed.
func (p provided) credentials(token string) (aws.Credentials, error) {
	c := aws.Credentials{AccessKeyID: p.AccessKeyID, SecretAccessKey: p.SecretAccessKey, SessionToken: token}
	if !c.HasKeys() {
		return aws.Credentials{}, errMalformed
	}
	if p.Expiration != nil {
		c.CanExpire, c.Expires = true, *p.Expiration
	}
	return c, nil
}

func askContainer(ctx context.Context, client aws.HTTPClient, uri, token string) (aws.Credentials, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return aws.Credentials{}, errMalformed
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	got, err := send(client, r)
	if err != nil {
		return aws.Credentials{}, err
	}
	var out struct {
		provided
		Token string
	}
	if err := got.decode(&out); err != nil {
		return aws.Credentials{}, err
	}
	return out.credentials(out.Token)
}

func explainContainer(err error) string {
	var file *fs.PathError
	var answered *answer
	switch {
	case errors.As(err, &file):
		return "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: " + file.Error()
	case errors.As(err, &answered) && answered.status/100 != 2:
		return fmt.Sprintf("the container credentials endpoint answered with HTTP %d", answered.status)
	case errors.Is(err, errMalformed):
		return "what the container credentials endpoint answered is not credentials"
	default:
		return "the container credentials endpoint could not be read: " + connection(err)
	}
}

// cliCredentials asks the AWS CLI. Its messages and questions, such as for an MFA code, go to the terminal.
func cliCredentials(ctx context.Context) (aws.Credentials, error) {
	cmd := exec.CommandContext(ctx, "aws", "configure", "export-credentials", "--format", "process")
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	cmd.WaitDelay = time.Second // what it started may outlive it and hold the pipe open
	printed, err := cmd.Output()
	if err != nil {
		return aws.Credentials{}, err
	}
	var out struct {
		provided
		Version      int
		SessionToken string
	}
	if json.Unmarshal(printed, &out) != nil || out.Version != 1 {
		return aws.Credentials{}, errMalformed
	}
	return out.credentials(out.SessionToken)
}

func explainCLI(err error) string {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
			"or install the AWS CLI (version 2) and sign in with it, for its profiles are read through it"
	case errors.As(err, &exit):
		return "no AWS credentials: `aws configure export-credentials` ended with " + exit.String() + "; what it wrote says why"
	default:
		return "no AWS credentials: what `aws configure export-credentials` printed is not credentials"
	}
}

// guarded is a provider with a bound, whose panics are errors and whose errors are told in our words: a parser's quotes what it
// could not parse, and an error code of this endpoint is not one of the service that was asked.
type guarded struct {
	aws.CredentialsProvider
	timeout time.Duration
	explain func(error) string
}

// Retrieve is called on a goroutine of the SDK's cache, under a context that never ends.
func (g guarded) Retrieve(ctx context.Context) (c aws.Credentials, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = cache.Panicked(v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	c, err = g.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &failure{text: g.explain(err)}
	}
	return c, nil
}
