package lambdatest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	prefix     = "/2020-01-01/extension/"
	identifier = "7b5f6c0e-93d1-4b7a-8f25-0c6f1d2e3a49"
	maxBody    = 1 << 20
)

// Lambda takes any error type but recommends this form, and shows a type of its own in place of one it cannot read.
var errorType = regexp.MustCompile(`^[A-Z][A-Za-z]*\.[A-Z][A-Za-z]*$`)

// refusal is an answer that says no. A rule broken fails the test, a refusal that the test asked for does not.
type refusal struct {
	status        int
	kind, message string
	asked         bool
}

func forbidden(kind, format string, args ...any) *refusal {
	return &refusal{status: http.StatusForbidden, kind: kind, message: fmt.Sprintf(format, args...)}
}

// serve answers one call: it notes it, holds it to the rules, then gives the fault that is due or else what was asked for.
func (f *API) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		f.tb.Errorf("lambdatest: %s %s: reading the body: %v", r.Method, r.URL.Path, err)
		panic(http.ErrAbortHandler)
	}
	op := opOf(r)
	refused, failing := f.admit(op, r, body)
	switch {
	case refused != nil:
		if !refused.asked {
			f.tb.Errorf("lambdatest: %s %s: %s: %s", r.Method, r.URL.Path, refused.kind, refused.message)
		}
		answer(w, refused.status, map[string]string{"errorType": refused.kind, "errorMessage": refused.message})
	case failing != nil && failing.status == 0:
		panic(http.ErrAbortHandler)
	case failing != nil:
		w.WriteHeader(failing.status)
		io.WriteString(w, failing.body)
	case op == Register:
		registered := map[string]string{"functionName": "lambdatest", "functionVersion": "$LATEST", "handler": "index.handler"}
		if slices.Contains(strings.Split(r.Header.Get("Lambda-Extension-Accept-Feature"), ","), "accountId") {
			registered["accountId"] = "123456789012"
		}
		w.Header().Set("Lambda-Extension-Identifier", identifier)
		answer(w, http.StatusOK, registered)
	case op == Next:
		f.serveNext(w, r)
	default:
		answer(w, http.StatusAccepted, map[string]string{"status": "OK"})
	}
}

// opOf is empty for what is no call of the API.
func opOf(r *http.Request) Op {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	switch op := Op(path); {
	case !ok:
	case op == Next && r.Method == http.MethodGet:
		return op
	case (op == Register || op == InitError || op == ExitError) && r.Method == http.MethodPost:
		return op
	}
	return ""
}

// admit notes the call. A call that breaks a rule or is to fail changes nothing else, but for the count of event/next.
func (f *API) admit(op Op, r *http.Request, body []byte) (*refusal, *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.announce()
	if op == "" {
		f.calls = append(f.calls, r.Method+" "+r.URL.Path)
		return &refusal{status: http.StatusNotFound, kind: "InvalidRequest", message: "no such call"}, nil
	}
	f.calls = append(f.calls, string(op))
	if op != Register {
		if refused := f.checkKnown(op, r); refused != nil {
			return refused, nil
		}
	}
	var refused *refusal
	var effect func()
	switch op {
	case Register:
		refused, effect = f.checkRegister(r, body)
	case Next:
		refused, effect = f.checkNext()
	default:
		refused, effect = f.checkReport(op, r, body)
	}
	if refused != nil {
		return refused, nil
	}
	if due := f.faults[op]; len(due) > 0 {
		f.faults[op] = due[1:]
		return nil, &due[0]
	}
	effect()
	return nil, nil
}

// checkKnown holds a call to what is true of all but register.
func (f *API) checkKnown(op Op, r *http.Request) *refusal {
	switch id := r.Header.Get("Lambda-Extension-Identifier"); {
	case f.registration == nil:
		return forbidden("Extension.UnknownExtensionIdentifier", "%s before register", op)
	case id == "":
		return forbidden("Extension.MissingHeader", "Lambda-Extension-Identifier not found")
	case id != identifier:
		return forbidden("Extension.UnknownExtensionIdentifier", "unknown Lambda-Extension-Identifier %q", id)
	case f.final != "":
		return forbidden("Extension.InvalidExtensionState", "%s after %s", op, f.final)
	}
	return nil
}

// checkRegister says what register would change, as checkNext and checkReport do for theirs.
func (f *API) checkRegister(r *http.Request, body []byte) (*refusal, func()) {
	name := r.Header.Get("Lambda-Extension-Name")
	if name == "" || strings.Contains(name, "/") {
		return forbidden("Extension.InvalidExtensionName", "%q is not the file name of an extension", name), nil
	}
	var in struct{ Events []string }
	if err := json.Unmarshal(body, &in); err != nil {
		return forbidden("InvalidRequestFormat", "%v", err), nil
	}
	if len(in.Events) == 0 { // Lambda allows it, but an extension that is told nothing is not meant to be
		return forbidden("InvalidRequestFormat", "no events"), nil
	}
	for _, e := range in.Events {
		if e != "INVOKE" && e != "SHUTDOWN" {
			return forbidden("Extension.InvalidEventType", "%s: no such event", e), nil
		}
	}
	if f.registration != nil {
		return forbidden("Extension.InvalidExtensionState", "%s has registered before", f.registration.Name), nil
	}
	if f.rejectInvoke && slices.Contains(in.Events, "INVOKE") {
		refused := forbidden("Extension.InvalidEventType", "INVOKE: not on Lambda Managed Instances")
		refused.asked = true
		return refused, nil
	}
	return nil, func() { f.registration = &Registration{Name: name, Events: in.Events} }
}

func (f *API) checkNext() (*refusal, func()) {
	switch {
	case f.polling:
		return forbidden("Extension.InvalidExtensionState", "event/next while another one waits"), nil
	case f.shutdown:
		return forbidden("Extension.InvalidExtensionState", "event/next after SHUTDOWN"), nil
	}
	f.nexts++
	return nil, func() { f.polling = true }
}

func (f *API) checkReport(op Op, r *http.Request, body []byte) (*refusal, func()) {
	if op == InitError && f.nexts > 0 {
		return forbidden("Extension.InvalidExtensionState", "init/error after event/next"), nil
	}
	kind := r.Header.Get("Lambda-Extension-Function-Error-Type")
	if !errorType.MatchString(kind) {
		return forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type %q is not Category.Reason", kind), nil
	}
	var in struct {
		ErrorMessage, ErrorType string
		StackTrace              *[]string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return forbidden("InvalidRequestFormat", "%v", err), nil
	}
	if in.ErrorMessage == "" || in.ErrorType != kind || in.StackTrace == nil {
		return forbidden("InvalidRequestFormat", "the body needs an errorMessage, the header's errorType and a stackTrace"), nil
	}
	return nil, func() {
		f.final = op
		f.report = Report{Type: kind, Message: in.ErrorMessage}
	}
}

// serveNext waits for an event that the extension registered for.
func (f *API) serveNext(w http.ResponseWriter, r *http.Request) {
	for {
		e, changed := f.take()
		if e != nil {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, e.body)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			f.mu.Lock()
			f.polling = false
			f.announce()
			f.mu.Unlock()
			panic(http.ErrAbortHandler)
		case <-f.ended:
			panic(http.ErrAbortHandler)
		}
	}
}

// take ends the wait with the oldest event, or gives the channel that closes when there may be one.
func (f *API) take() (*event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = slices.DeleteFunc(f.events, func(e event) bool {
		return e.kind != "" && !slices.Contains(f.registration.Events, e.kind)
	})
	if len(f.events) == 0 {
		return nil, f.changed
	}
	e := f.events[0]
	f.events = f.events[1:]
	f.polling = false
	f.shutdown = f.shutdown || e.kind == "SHUTDOWN"
	f.announce()
	return &e, nil
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // of strings: it cannot fail but by the connection, which is the client's to notice
}
