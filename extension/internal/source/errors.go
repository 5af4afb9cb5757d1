package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// failure is why a resource could not be read. It is cut off from the errors of libraries: that of a parser quotes what it
// could not parse, which may be a value.
type failure struct {
	class error  // one of the cache's sentinels, nil for upstream
	text  string // for the log
	brief string // the beginning of text, without what AWS wrote, which may name the resource; empty where that is all of it
	// alone says that what failed together may work one by one.
	alone bool
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.class }

// Brief returns the text of an error of Fetch without what AWS wrote in it, which may name the resource.
func Brief(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return cmp.Or(f.brief, f.text)
	}
	return err.Error()
}

// classes has the error codes that mean more than a failure of AWS. Its throttle codes are in the SDK.
var classes = map[string]error{
	"ParameterNotFound":         cache.ErrMissing,
	"ParameterVersionNotFound":  cache.ErrMissing,
	"ResourceNotFoundException": cache.ErrMissing,
	"AccessDeniedException":     cache.ErrDenied,
	"AccessDenied":              cache.ErrDenied,
}

// credentialCodes are about who asks: whatever is asked next gets the same answer.
var credentialCodes = map[string]bool{
	"ExpiredToken":                        true,
	"ExpiredTokenException":               true,
	"RequestExpired":                      true,
	"UnrecognizedClientException":         true,
	"InvalidClientTokenId":                true,
	"InvalidSignatureException":           true,
	"SignatureDoesNotMatch":               true,
	"IncompleteSignature":                 true,
	"IncompleteSignatureException":        true,
	"MissingAuthenticationToken":          true,
	"MissingAuthenticationTokenException": true,
}

// classify says what the error of an operation means. The result is a *failure, a *cache.PanicError,
// cache.ErrTimeout, or nil of nil.
func classify(err error) error {
	var ours *failure
	var panicked *cache.PanicError
	var answered *answer
	var sent *smithyhttp.RequestSendError
	switch {
	case err == nil, errors.Is(err, cache.ErrTimeout):
		return err
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &panicked):
		return panicked
	case errors.As(err, &answered):
		class := classes[answered.code]
		if _, ok := retry.DefaultThrottleErrorCodes[answered.code]; ok {
			class = cache.ErrThrottled
		}
		// A secret that is scheduled for deletion has no code of its own.
		if answered.code == "InvalidRequestException" && strings.Contains(answered.message, "marked for deletion") {
			class = cache.ErrMissing
		}
		text := answered.Error()
		return &failure{
			class: class, text: text, brief: text[:len(answered.brief())],
			alone: !retryable(err) && !credentialCodes[answered.code],
		}
	case errors.As(err, &sent):
		return &failure{text: "no connection to AWS: " + connection(sent)}
	default:
		// No answer is involved: an endpoint that cannot be, say.
		return &failure{text: "no request to AWS: " + err.Error()}
	}
}

// connection returns the text of a connection's error where it cannot quote what came over it.
func connection(err error) string {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &certificate):
		return certificate.Error()
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, cache.ErrTimeout):
		return "i/o timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed without an answer"
	case errors.Is(err, errProxy):
		return errProxy.Error()
	default:
		return "broken"
	}
}

// retryables is what the SDK tries again, an answer that broke off, and one that corrected our clock.
func retryables() retry.IsErrorRetryables {
	again := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		var answered *answer
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &answered) && answered.skewed {
			return aws.TrueTernary
		}
		return aws.UnknownTernary
	})
	return append(slices.Clone(retry.DefaultRetryables), again)
}

func retryable(err error) bool { return retryables().IsErrorRetryable(err).Bool() }

// alone reports whether resources that failed together with err may work one by one.
func alone(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.alone
}

// ended reports whether ctx is done or about to be: a connection is given the same deadline, and may notice it first.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
