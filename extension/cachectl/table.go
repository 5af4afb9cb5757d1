package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"cache-extension/extension/internal/config"
)

// table returns what check prints of a file without a fault; nothing where it serves nothing.
func (r *report) table() string {
	if len(r.Names) == 0 {
		return ""
	}
	live := r.Names[0].Live != nil
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "NAME\tCACHETYPE\tRESOURCE\tREGION\tTTL\t")
	if live {
		fmt.Fprintln(w, "RESULT\tBYTES\tTIME")
	} else {
		fmt.Fprintln(w, "FETCHED BY")
	}
	for _, n := range r.Names {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t", printable(n.Name), n.Cachetype, printable(n.Resource), cmp.Or(n.Region, "?"), short(n.TTL))
		if live {
			fmt.Fprintln(w, n.Live.cells())
		} else {
			fmt.Fprintln(w, n.fetchedBy())
		}
	}
	w.Flush()
	if live {
		return b.String() + "\n" + r.results()
	}
	return b.String() + "\n" + r.summary()
}

func (n served) fetchedBy() string {
	switch {
	case n.OnDemand:
		return n.Operation + ", on demand"
	case n.Operation == pathOperation:
		return n.Operation + ", 10 a page"
	case n.Batch > 1:
		return fmt.Sprintf("%s, batch of %d", n.Operation, n.Batch)
	}
	return n.Operation
}

// pathOperation is the one whose number of requests the configuration does not tell.
const pathOperation = "GetParametersByPath"

// summary says by how many calls all is fetched, and when.
func (r *report) summary() string {
	calls := plural(r.Prefetch.Calls, "call") + " at start"
	required, path, open := 0, false, ""
	for _, n := range r.Names {
		if n.Required {
			required++
		}
		path = path || n.Operation == pathOperation
		if n.OnDemand {
			open = "A name with placeholders is fetched on demand, when somebody reads it.\n"
		}
	}
	if path {
		calls += ", and more where a path has over 10 parameters"
	}
	switch {
	case r.Prefetch.Calls == 0:
		return open
	case r.Prefetch.On:
		return "Prefetch is on: " + calls + ".\n" + open
	case required > 0:
		return fmt.Sprintf("Prefetch is off, but for what is required (%s). With prefetch: true, it takes %s.\n", plural(required, "name"), calls) + open
	}
	return "Prefetch is off: each is fetched alone when it is first read. With prefetch: true, it takes " + calls + ".\n" + open
}

// results counts what came of reading, in the order of the table.
func (r *report) results() string {
	var order []string
	count := make(map[string]int)
	for _, n := range r.Names {
		if count[n.Live.Result] == 0 {
			order = append(order, n.Live.Result)
		}
		count[n.Live.Result]++
	}
	for i, result := range order {
		order[i] = fmt.Sprintf("%d %s", count[result], result)
	}
	return plural(len(r.Names), "name") + ": " + strings.Join(order, ", ") + ".\n"
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func parameterText(p config.Parameter) string {
	text := p.ID
	switch {
	case p.Path != "" && p.Label != "":
		return p.Path + " (all below, label " + p.Label + ")"
	case p.Path != "":
		return p.Path + " (all below)"
	case p.Selector != "":
		text += ":" + p.Selector
	}
	return text
}

func secretText(s config.Secret) string {
	var chosen []string
	if s.Stage != "" {
		chosen = append(chosen, "stage "+s.Stage)
	}
	if s.VersionID != "" {
		chosen = append(chosen, "version "+s.VersionID)
	}
	if chosen == nil {
		return s.ID
	}
	return s.ID + " (" + strings.Join(chosen, ", ") + ")"
}

// itemText is such as Users(tenant=acme, id=42). In quotes, 42 is text.
func itemText(it config.Item) string {
	open := it.Pattern != nil
	text := it.Table + "(" + keyText(it.Hash, open)
	if it.Sort.Name != "" {
		text += ", " + keyText(it.Sort, open)
	}
	return text + ")"
}

// keyText returns one part of a key, whose value is a template in an open entry.
func keyText(k config.KeyPart, open bool) string {
	value := k.Value
	switch k.Type {
	case "B":
		if open {
			value = config.FillAll(value, "") // a key of bytes has no placeholder, but may have braces
		}
		value = "base64 " + base64.StdEncoding.EncodeToString([]byte(value))
	case "S":
		_, err := strconv.ParseFloat(value, 64)
		if err == nil || strings.ContainsAny(value, ` "',=()`) || printable(value) != value {
			value = strconv.Quote(value)
		}
	}
	return k.Name + "=" + value
}

// printable returns text as it is, or in quotes where it holds what would break the table or do something to the terminal.
func printable(text string) string {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}

// short returns a duration without the units that are zero: 5m for 5m0s.
func short(seconds float64) string {
	text := time.Duration(seconds * float64(time.Second)).String()
	if before, ok := strings.CutSuffix(text, "m0s"); ok {
		text = before + "m"
	}
	if before, ok := strings.CutSuffix(text, "h0m"); ok {
		text = before + "h"
	}
	return text
}
