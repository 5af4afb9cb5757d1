package source

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxAnswer bounds an answer in bytes. The largest is that of BatchGetItem: 16 MB of items, in which binaries are base64.
const maxAnswer = 32 << 20

// errMalformed stands for the error of a parser, which quotes what it could not read, and that may be a value.
var errMalformed = errors.New("not what AWS documents")

// answer is an HTTP response, read whole. It is an error as well: where AWS refuses, and where it could not be read.
type answer struct {
	status    int
	requestID string
	date      string // as in the header
	body      []byte

	code    string // of AWS's error; as an error without a code, the answer could not be read
	message string // of AWS's error, for the log
	skewed  bool   // our clock was corrected by it, so that the next attempt may succeed
	cause   error  // of not reading it: errMalformed, io.ErrUnexpectedEOF or the connection's
}

// brief is what can be told of a without saying what was asked for.
func (a *answer) brief() string {
	text := cmp.Or(a.code, "AWS's answer could not be read") + " (HTTP " + strconv.Itoa(a.status)
	if a.requestID != "" {
		text += ", request " + a.requestID
	}
	return text + ")"
}

func (a *answer) Error() string {
	text := a.brief()
	if a.message != "" && a.message != a.code && !a.quotes() {
		text += ": " + a.message
	}
	return text
}

// quotes says whether AWS's message may hold the headers that were sent, and with them the session token: of a signature
// that is wrong AWS tells the whole text that it should have signed.
func (a *answer) quotes() bool {
	if credentialCodes[a.code] {
		return true
	}
	message := strings.ToLower(a.message)
	return strings.Contains(message, "x-amz-security-token") || strings.Contains(message, "signature=") || strings.Contains(message, "credential=")
}

func (a *answer) Unwrap() error { return a.cause }

// HTTPStatusCode is for the SDK's retryer.
func (a *answer) HTTPStatusCode() int { return a.status }

// ErrorCode is for the SDK's retryer.
func (a *answer) ErrorCode() string { return a.code }

// send carries out r and reads the answer whole. Its error is a *smithyhttp.RequestSendError or an *answer.
func send(client aws.HTTPClient, r *http.Request) (*answer, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, requestID: resp.Header.Get("X-Amzn-Requestid"), date: resp.Header.Get("Date")}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, a.unreadable(errMalformed) // its body is the bare connection, which no context ends
	}
	if a.body, err = readBody(resp); err != nil {
		return nil, a.unreadable(err)
	}
	// DynamoDB sends it. What came through wrong may come through right the next time.
	if sum := resp.Header.Get("X-Amz-Crc32"); sum != "" && sum != strconv.FormatUint(uint64(crc32.ChecksumIEEE(a.body)), 10) {
		return nil, a.unreadable(io.ErrUnexpectedEOF)
	}
	if resp.StatusCode/100 != 2 {
		return nil, a.refusal(resp.Header.Get("X-Amzn-Errortype"))
	}
	return a, nil
}

func readBody(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if 0 < resp.ContentLength && resp.ContentLength <= maxAnswer {
		b.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && n > maxAnswer {
		err = errMalformed
	}
	return b.Bytes(), err
}

func (a *answer) unreadable(cause error) error {
	a.cause = cause
	return a
}

// refusal returns a as the error that it tells. AWS writes the code in the header or in the body, with a namespace before
// or a URI behind it or neither.
func (a *answer) refusal(header string) error {
	var body struct {
		Type    string `json:"__type"`
		Code    any    // some have the HTTP status here
		Message string
	}
	if len(a.body) > 0 {
		if err := a.decode(&body); err != nil {
			return err
		}
	}
	inBody, _ := body.Code.(string)
	a.code, _, _ = strings.Cut(cmp.Or(header, body.Type, inBody, "UnknownError"), ":")
	a.code = a.code[strings.IndexByte(a.code, '#')+1:]
	a.message = body.Message
	return a
}

// decode reads the body into out. Its error is a; out is as it was when that calls for another attempt.
func (a *answer) decode(out any) error {
	err := json.Unmarshal(a.body, out)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax) && syntax.Offset == int64(len(a.body)):
		return a.unreadable(io.ErrUnexpectedEOF) // it broke off, or never began
	default:
		return a.unreadable(errMalformed)
	}
}
