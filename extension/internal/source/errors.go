package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// failure is why a resource could not be read. It is cut off from the SDK's error: that of a parser quotes what it could
// not parse, which may be a value.
type failure struct {
	class error  // one of the cache's sentinels, nil for upstream
	text  string // for the log
	// alone says that what failed together may work one by one.
	alone bool
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.class }

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

// classify says what the error of an operation means. The result is a *failure or a *cache.PanicError.
func classify(err error) error {
	var ours *failure
	var panicked *cache.PanicError
	var api smithy.APIError
	var sent *smithyhttp.RequestSendError
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &panicked):
		return panicked
	case errors.As(err, &api):
		code := api.ErrorCode()
		class := classes[code]
		if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
			class = cache.ErrThrottled
		}
		// A secret that is scheduled for deletion has no code of its own.
		if code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "marked for deletion") {
			class = cache.ErrMissing
		}
		text := code + response(err)
		if m := api.ErrorMessage(); m != "" && m != code {
			text += ": " + m
		}
		return &failure{class: class, text: text, alone: !retryable(err) && !credentialCodes[code]}
	case errors.As(err, &sent):
		return &failure{text: "no connection to AWS: " + connection(sent)}
	case response(err) != "":
		return &failure{text: "AWS's answer could not be read" + response(err), alone: !retryable(err)}
	default:
		// No answer is involved: an endpoint that cannot be, say.
		return &failure{text: "no request to AWS: " + err.Error()}
	}
}

// response returns the status and id of the HTTP response that err is about, "" if there was none.
func response(err error) string {
	var r *awshttp.ResponseError
	if !errors.As(err, &r) || r.HTTPStatusCode() == 0 {
		return ""
	}
	if r.RequestID == "" {
		return fmt.Sprintf(" (HTTP %d)", r.HTTPStatusCode())
	}
	return fmt.Sprintf(" (HTTP %d, request %s)", r.HTTPStatusCode(), r.RequestID)
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
	case errors.As(err, &timeout) && timeout.Timeout():
		return "i/o timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed without an answer"
	case errors.Is(err, errProxy):
		return errProxy.Error()
	default:
		return "broken"
	}
}

// retryables is what the SDK tries again, and an answer that broke off.
func retryables() retry.IsErrorRetryables {
	brokeOff := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return aws.TrueTernary
		}
		return aws.UnknownTernary
	})
	return append(slices.Clone(retry.DefaultRetryables), brokeOff)
}

func retryable(err error) bool { return retryables().IsErrorRetryable(err).Bool() }

// alone reports whether resources that failed together with err may work one by one.
func alone(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.alone
}

type lastErrorKey struct{}

// rememberError adds a step to each attempt that keeps its error for call: when the deadline hits in the pause after an
// attempt, the SDK returns the deadline and forgets why it paused.
func rememberError(stack *middleware.Stack) error {
	step := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		var api smithy.APIError
		// What fails after the deadline fails because of it, unless AWS says otherwise.
		if err != nil && (!ended(ctx) || errors.As(err, &api)) {
			*ctx.Value(lastErrorKey{}).(*error) = err
		}
		return out, metadata, err
	}
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("RememberError", step), "Retry", middleware.After)
}

// ended reports whether ctx is done or about to be: a connection is given the same deadline, and may notice it first.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
