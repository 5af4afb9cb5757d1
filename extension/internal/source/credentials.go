package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// expiryWindow is how long before their end credentials are renewed.
const expiryWindow = 5 * time.Minute

// newCredentials returns the first that there is: keys in the environment, a container's endpoint (SnapStart, ECS, EKS Pod
// Identity), and on a developer's machine the AWS CLI, which knows profiles, single sign-on, roles and MFA. Nothing is
// fetched before the first use.
func newCredentials(conf config.AWS, timeout time.Duration, client aws.HTTPClient, local bool) aws.CredentialsProvider {
	var p aws.CredentialsProvider
	switch {
	case conf.AccessKeyID != "":
		return credentials.NewStaticCredentialsProvider(conf.AccessKeyID, conf.SecretAccessKey, conf.SessionToken)
	case conf.ContainerURI != "":
		p = guarded{containerCredentials(conf, client), timeout, explainContainer}
	case local:
		p = guarded{processcreds.NewProviderCommand(processcreds.NewCommandBuilderFunc(exportCredentials)), processcreds.DefaultTimeout, explainCLI}
	default:
		p = noCredentials{}
	}
	return aws.NewCredentialsCache(p, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow })
}

type noCredentials struct{}

// Retrieve always fails.
func (noCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, &failure{text: "no AWS credentials: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"}
}

func containerCredentials(conf config.AWS, client aws.HTTPClient) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		token := conf.ContainerToken
		if conf.ContainerTokenFile != "" {
			// Read here and not by the SDK, which makes a mere text of the error.
			fromFile, err := os.ReadFile(conf.ContainerTokenFile)
			if err != nil {
				return aws.Credentials{}, err
			}
			token = strings.TrimSpace(string(fromFile))
		}
		return endpointcreds.New(conf.ContainerURI, func(o *endpointcreds.Options) {
			o.HTTPClient = client
			o.Retryer = newRetryer(conf.MaxAttempts)
			o.AuthorizationToken = token
		}).Retrieve(ctx)
	})
}

func explainContainer(err error) string {
	var file *fs.PathError
	var refused interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &file):
		return "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: " + file.Error()
	case errors.As(err, &refused) && refused.HTTPStatusCode() != 0:
		return fmt.Sprintf("the container credentials endpoint answered with HTTP %d", refused.HTTPStatusCode())
	default:
		return "the container credentials endpoint could not be read: " + connection(err)
	}
}

// exportCredentials makes the command that prints credentials. Its messages and questions, such as for an MFA code, go to
// the terminal.
func exportCredentials(ctx context.Context) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "aws", "configure", "export-credentials", "--format", "process")
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	return cmd, nil
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

// guarded is a provider with a bound, whose panics are errors and whose errors are told in our words: the SDK's quote what
// they could not parse, and an error code of this endpoint is not one of the service that was asked.
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
