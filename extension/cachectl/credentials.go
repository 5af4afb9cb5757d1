package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	version "cache-extension"
	"cache-extension/extension/internal/source"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// credentialsTimeout bounds one request for credentials. Who asked first has been answered by then, and later ones join.
	credentialsTimeout = 10 * time.Second
	// expiryWindow is how long before their end credentials are renewed.
	expiryWindow = 5 * time.Minute
)

// awsOptions returns how AWS is reached with the credentials that the SDK finds: keys of the environment, profiles, single
// sign-on, roles, processes, containers, EC2. It looks into files only; the first call to AWS asks for the credentials.
// region is the environment's, else the profile's, else empty.
func (a *app) awsOptions(ctx context.Context) (o source.Options, region string, _ error) {
	o = source.Options{Local: true, Version: version.Number()}
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(credentialsTimeout)),
		awsconfig.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow }),
		awsconfig.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) {
			// Most machines are no EC2 instance. With its retries, finding that out outlasts the first reader.
			o.Client = imds.New(imds.Options{Retryer: aws.NopRetryer{}})
		}),
		awsconfig.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if a.tty {
				o.TokenProvider = a.askMFA
			}
		}),
	)
	if err != nil {
		return o, "", explainProfile(err)
	}
	if a.getenv("AWS_ACCESS_KEY_ID") == "" || a.getenv("AWS_SECRET_ACCESS_KEY") == "" { // else they are in the configuration
		o.Credentials = explained{cfg.Credentials, profileOf(cfg)}
	}
	return o, cfg.Region, nil
}

// askMFA asks for the code of a role that demands one.
func (a *app) askMFA() (code string, err error) {
	fmt.Fprint(a.stderr, "MFA code of the profile's role: ")
	_, err = fmt.Scanln(&code)
	return code, err
}

// explainProfile says what to do about a profile that cannot be used. The SDK's texts quote no secret of it.
func explainProfile(err error) error {
	var none awsconfig.SharedConfigProfileNotExistError
	var mfa awsconfig.AssumeRoleTokenProviderNotSetError
	switch {
	case errors.As(err, &none):
		return fmt.Errorf("there is no AWS profile %q, which AWS_PROFILE or a source_profile names (`aws configure list-profiles` prints those there are)", none.Profile)
	case errors.As(err, &mfa):
		return errors.New("the role of the AWS profile demands an MFA code, which is asked for in a terminal only (use keys or a session of your own, or --offline)")
	}
	return fmt.Errorf("the AWS profile cannot be used: %w", err)
}

// profileOf returns the profile that cfg was made from; its zero value where there is none.
func profileOf(cfg aws.Config) awsconfig.SharedConfig {
	for _, s := range cfg.ConfigSources {
		if p, ok := s.(awsconfig.SharedConfig); ok {
			return p
		}
	}
	return awsconfig.SharedConfig{}
}

// explained gives credentials, and says what to do where there are none. The SDK's own errors must not be passed on: that of
// a credential_process that prints something else quotes what it printed.
type explained struct {
	aws.CredentialsProvider
	profile awsconfig.SharedConfig
}

// Retrieve returns the credentials. Its error is for the log.
func (e explained) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := e.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, errors.New("no credentials: " + e.explain(err))
	}
	return c, nil
}

func (e explained) explain(err error) string {
	var process *processcreds.ProviderError
	var sent *smithyhttp.RequestSendError
	var api smithy.APIError
	operation := innermost(err)
	service := operation.Service()
	refused, signIn := errors.As(err, &api), e.signIn()
	switch {
	case errors.As(err, &process):
		return fmt.Sprintf("the credential_process of profile %q %s", e.profile.Profile, processFailure(err))
	case refused && service == "STS", refused && service == "SSO" && api.ErrorCode() != "UnauthorizedException":
		return fmt.Sprintf("%s %s: %s: %s", service, operation.Operation(), api.ErrorCode(), api.ErrorMessage())
	case errors.As(err, &sent) && service != imds.ServiceID:
		return fmt.Sprintf("no connection to %s: %s", service, connection(err))
	case signIn != "":
		return fmt.Sprintf("profile %q is not signed in, or no longer: run `%s`", e.profile.Profile, signIn)
	case service != "" && service != imds.ServiceID:
		return fmt.Sprintf("%s could not be asked (has profile %q a region? AWS_REGION sets one)", service, e.profile.Profile)
	}
	return "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws sso login` " +
		"(with --offline and fixtures none are needed)"
}

// innermost returns the operation that failed: to ask STS for a role, SSO may have to be asked for credentials.
func innermost(err error) (o smithy.OperationError) {
	for next := new(smithy.OperationError); errors.As(err, &next); err = next.Err {
		o = *next
	}
	return o
}

// signIn is the command that begins a session for the profile, or for the one that its role is taken with; empty where
// neither has sessions.
func (e explained) signIn() string {
	for p := &e.profile; p != nil; p = p.Source {
		command := ""
		switch {
		case p.SSOSession != nil, p.SSOStartURL != "":
			command = "aws sso login"
		case p.LoginSession != "":
			command = "aws login"
		default:
			continue
		}
		if p.Profile != "default" {
			command += " --profile " + p.Profile
		}
		return command
	}
	return ""
}

// connection says what is wrong with a connection, without what may have come over it.
func connection(err error) string {
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "i/o timeout"
	}
	return "broken"
}

func processFailure(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "ended with " + exit.String() + "; what it wrote says why"
	}
	return "did not print credentials"
}
