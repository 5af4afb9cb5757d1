//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// upstream is Systems Manager, Secrets Manager and DynamoDB as far as the program asks them. It holds nothing: each value
// is made when it is asked for, out of the name and the time, so it differs from all that were before it and tells a
// reader whose it is and how old. (The fake of the unit tests is stricter and has state; this one is quick.)
type upstream struct {
	weather *weather
	calls   atomic.Int64
	unknown atomic.Int64 // calls that it does not know
}

// marker begins every value. It must not be seen in the program's log.
const marker = "soaked"

// valueOf makes the value of name.
func valueOf(name string, at time.Time) string {
	return marker + " " + name + " " + strconv.FormatInt(at.UnixNano(), 10)
}

// parseValue is the reverse of valueOf.
func parseValue(s string) (name string, made time.Time, ok bool) {
	f := strings.Fields(s)
	if len(f) != 3 || f[0] != marker {
		return "", time.Time{}, false
	}
	n, err := strconv.ParseInt(f[2], 10, 64)
	return f[1], time.Unix(0, n), err == nil
}

// call is the input of any of the operations.
type call struct {
	Name, Path, NextToken, SecretId, TableName string
	Names                                      []string
	Key                                        key
	RequestItems                               map[string]struct{ Keys []key }
}

type key map[string]struct{ S string }

func (k key) name(table string) string { return table + "-" + k["pk"].S }

// names are what is asked for, as faults go by them.
func (c call) names() []string {
	names := slices.Clone(c.Names)
	for _, one := range []string{c.Name, c.Path, c.SecretId} {
		if one != "" {
			names = append(names, one)
		}
	}
	if c.TableName != "" {
		names = append(names, c.Key.name(c.TableName))
	}
	for table, items := range c.RequestItems {
		for _, k := range items.Keys {
			names = append(names, k.name(table))
		}
	}
	return names
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.calls.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		u.unknown.Add(1)
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !u.befall(w, r, c.names()) {
		return
	}
	out, code := u.answer(op, c)
	if code != "" {
		refuse(w, http.StatusBadRequest, code)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out) // a connection that broke is the program's to notice
}

// befall plays the fault that there is for one of the names; it is true when an answer is to follow.
func (u *upstream) befall(w http.ResponseWriter, r *http.Request, names []string) bool {
	now := fault("")
	for _, name := range names {
		if f := u.weather.on(name); f != "" && f != missing {
			now = f
		}
	}
	switch now {
	case throttled:
		refuse(w, http.StatusBadRequest, "ThrottlingException")
	case denied:
		refuse(w, http.StatusBadRequest, "AccessDeniedException")
	case failing:
		refuse(w, http.StatusInternalServerError, "InternalServerError")
	case garbled:
		io.WriteString(w, "<html></html>")
	case dropping:
		panic(http.ErrAbortHandler)
	case hanging:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case slow:
		return pause(r.Context(), timeout/3)
	default:
		return pause(r.Context(), 3*time.Millisecond)
	}
	return false
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":"words of the service"}`, code)
}

// answer returns the output of op, or the code of an error.
func (u *upstream) answer(op string, c call) (out any, code string) {
	switch op {
	case "GetParameter":
		p := u.parameter(c.Name)
		if p == nil {
			return nil, "ParameterNotFound"
		}
		return object{"Parameter": p}, ""
	case "GetParameters":
		found, invalid := []object{}, []string{}
		for _, name := range c.Names {
			if p := u.parameter(name); p != nil {
				found = append(found, p)
			} else {
				invalid = append(invalid, name)
			}
		}
		return object{"Parameters": found, "InvalidParameters": invalid}, ""
	case "GetParametersByPath":
		return u.page(c.NextToken), ""
	case "GetSecretValue":
		if u.weather.on(c.SecretId) == missing {
			return nil, "ResourceNotFoundException"
		}
		return object{"Name": c.SecretId, "SecretString": valueOf(c.SecretId, time.Now())}, ""
	case "GetItem":
		if it := u.item(c.TableName, c.Key); it != nil {
			return object{"Item": it}, ""
		}
		return object{}, ""
	case "BatchGetItem":
		responses := make(map[string][]object)
		for table, in := range c.RequestItems {
			responses[table] = []object{}
			for _, k := range in.Keys {
				if it := u.item(table, k); it != nil {
					responses[table] = append(responses[table], it)
				}
			}
		}
		return object{"Responses": responses, "UnprocessedKeys": object{}}, ""
	}
	u.unknown.Add(1)
	return nil, "UnknownOperationException"
}

type object map[string]any

// parameter is nil where there is none.
func (u *upstream) parameter(name string) object {
	if u.weather.on(name) == missing {
		return nil
	}
	return object{"Name": name, "Type": "SecureString", "Value": valueOf(name, time.Now()), "Version": 1}
}

// page is ten members of the tree, from the one that token says.
func (u *upstream) page(token string) object {
	first, _ := strconv.Atoi(token) // the first page has none
	found := []object{}
	for i := first; i < min(first+10, treeMembers); i++ {
		if p := u.parameter(memberName(i)); p != nil {
			found = append(found, p)
		}
	}
	out := object{"Parameters": found}
	if first+10 < treeMembers {
		out["NextToken"] = strconv.Itoa(first + 10)
	}
	return out
}

// item is nil where there is none.
func (u *upstream) item(table string, k key) object {
	name := k.name(table)
	if u.weather.on(name) == missing {
		return nil
	}
	return object{"pk": k["pk"], "value": object{"S": valueOf(name, time.Now())}}
}

// verdict is an error when a call was none of AWS's.
func (u *upstream) verdict() error {
	if n := u.unknown.Load(); n > 0 {
		return fmt.Errorf("%d calls that AWS would not know", n)
	}
	return nil
}
