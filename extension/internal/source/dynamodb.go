package source

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

const (
	maxKeys = 100 // in BatchGetItem
	// firstPause is before unprocessed keys are asked for again; it doubles up to maxBackoff.
	firstPause = 50 * time.Millisecond
)

// Items reads section dynamodb from DynamoDB. It is a cache.Source.
type Items struct {
	declared[*item]
	clients *Clients
	batches batches[*item]
}

type item struct {
	in         string // region
	table      string
	hash, sort config.KeyPart // sort has no name where there is none
	fields     []string       // sorted; nil for all
	consistent bool

	key   itemKey
	batch string // equal for what one BatchGetItem can ask for
}

// itemKey is a primary key without the names of its attributes: equal for equal keys of one table.
type itemKey struct{ hash, sort string }

func (t *item) region() string { return t.in }

func (t *item) group() string { return t.batch }

// NewItems returns the source of cfg.Items.
func NewItems(cfg *config.Config, clients *Clients) *Items {
	entries := make([]entry[*item], 0, len(cfg.Items))
	var patterns []pattern[*item]
	for _, c := range cfg.Items {
		if c.Pattern == nil {
			entries = append(entries, itemEntry(c, cfg.Timeout))
			continue
		}
		patterns = append(patterns, pattern[*item]{c.Pattern, func(captures config.Captures) (entry[*item], bool) {
			filled, ok := c.Fill(captures)
			return itemEntry(filled, cfg.Timeout), ok
		}})
	}
	s := &Items{declared: declare("dynamodb", entries, patterns), clients: clients}
	s.batches = batches[*item]{size: maxKeys, single: s.getItem, many: s.batchGetItem}
	return s
}

func itemEntry(c config.Item, timeout time.Duration) entry[*item] {
	t := &item{in: c.Region, table: c.Table, hash: c.Hash, sort: c.Sort, consistent: c.Consistent}
	if len(c.Fields) > 0 {
		t.fields = slices.Compact(slices.Sorted(slices.Values(c.Fields)))
	}
	t.key = itemKey{canonical(c.Hash.Type, c.Hash.Value), canonical(c.Sort.Type, c.Sort.Value)}
	// A key that does not fit the table fails the whole call, hence the attributes' names and types.
	t.batch = quoted(append([]string{t.table, t.hash.Name, t.hash.Type, t.sort.Name, t.sort.Type, strconv.FormatBool(t.consistent)}, t.fields...)...)
	return entry[*item]{c.Entry, timeout, quoted(t.in, t.key.hash, t.key.sort) + t.batch, t}
}

// Fetch implements cache.Source.
func (s *Items) Fetch(ctx context.Context, names []string, put func(name string, v *cache.Value, err error)) {
	w := s.deliver(names, put)
	if len(w.resources) > 1 {
		ctx = Limited(ctx)
	}
	s.batches.fetch(ctx, w, w.resources)
	w.running.Wait()
}

func (s *Items) getItem(ctx context.Context, t *item) (*cache.Value, error) {
	var out struct{ Item attributes }
	in := t.asked(t.fields)
	in["TableName"], in["Key"] = t.table, t.attributes()
	if err := s.clients.in(dynamoDB, t.in).call(ctx, "GetItem", in, &out); err != nil {
		return nil, err
	}
	if out.Item == nil {
		return nil, errNoItem()
	}
	return itemValue(out.Item)
}

// batchGetItem asks again for what AWS leaves unprocessed for as long as it gets anywhere.
func (s *Items) batchGetItem(ctx context.Context, group []*item, land func(*item, *cache.Value, error)) (rest []*item, err error) {
	pause, idle := firstPause, 0
	for {
		out, err := s.requestItems(ctx, group)
		if err != nil {
			return append(rest, group...), err
		}
		again, unsure := matchItems(group, out, land)
		rest = append(rest, unsure...)
		if len(again) == 0 {
			return rest, nil
		}
		if len(again) < len(group) {
			idle = 0
		} else {
			idle++
		}
		if idle >= s.clients.conf.MaxAttempts || !sleep(ctx, pause) {
			for _, t := range again {
				land(t, nil, &failure{class: cache.ErrThrottled, text: "left unread each time (UnprocessedKeys)"})
			}
			return rest, nil
		}
		group, pause = again, min(2*pause, maxBackoff)
	}
}

// batch is what BatchGetItem answers, by table.
type batch struct {
	Responses       map[string][]attributes
	UnprocessedKeys map[string]struct{ Keys []attributes }
}

// requestItems asks for items of one group.
func (s *Items) requestItems(ctx context.Context, group []*item) (*batch, error) {
	t, projected := group[0], group[0].fields
	if projected != nil {
		// The answers' keys tell which is which.
		projected = append(slices.Clone(projected), t.hash.Name)
		if t.sort.Name != "" {
			projected = append(projected, t.sort.Name)
		}
		slices.Sort(projected)
	}
	keys := make([]fields, 0, len(group))
	for _, t := range group {
		keys = append(keys, t.attributes())
	}
	table := t.asked(slices.Compact(projected))
	table["Keys"] = keys
	out := new(batch)
	return out, s.clients.in(dynamoDB, t.in).call(ctx, "BatchGetItem", fields{"RequestItems": fields{t.table: table}}, out)
}

// matchItems lands the items of group that out settles. It returns those that are to be asked for again, and those about
// which out leaves a doubt. An item that is absent is missing only if nothing that came could be it.
func matchItems(group []*item, out *batch, land func(*item, *cache.Value, error)) (again, unsure []*item) {
	asked := make(map[itemKey]bool)
	for _, t := range group {
		asked[t.key] = true
	}
	answers := make(map[itemKey]attributes)
	unprocessed := make(map[itemKey]bool)
	twice := make(map[itemKey]bool)
	strange := false
	for _, items := range out.Responses {
		for _, item := range items {
			key, ok := group[0].keyIn(item)
			strange = strange || !ok || !asked[key]
			twice[key] = answers[key] != nil
			answers[key] = item
		}
	}
	for _, left := range out.UnprocessedKeys {
		for _, item := range left.Keys {
			key, ok := group[0].keyIn(item)
			strange = strange || !ok || !asked[key]
			unprocessed[key] = true
		}
	}
	for _, t := range group {
		switch item := answers[t.key]; {
		case item != nil && !twice[t.key] && !unprocessed[t.key]:
			if t.fields != nil {
				for _, name := range []string{t.hash.Name, t.sort.Name} {
					if !slices.Contains(t.fields, name) {
						delete(item, name)
					}
				}
			}
			v, err := itemValue(item)
			land(t, v, err)
		case item == nil && unprocessed[t.key]:
			again = append(again, t)
		case item == nil && !strange:
			land(t, nil, errNoItem())
		default:
			unsure = append(unsure, t)
		}
	}
	return again, unsure
}

func itemValue(item attributes) (*cache.Value, error) {
	body, err := appendItem(nil, item)
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	return &cache.Value{Body: body}, nil
}

func errNoItem() error { return &failure{class: cache.ErrMissing, text: "no item has this key"} }

// asked returns how t is asked for but for its key. Each of the attributes to project, all for nil, has a placeholder: names
// may be reserved words, and a dot in a name would be taken for a path.
func (t *item) asked(projected []string) fields {
	in := make(fields)
	if t.consistent {
		in["ConsistentRead"] = true
	}
	if projected != nil {
		placeholders := make([]string, 0, len(projected))
		names := make(map[string]string, len(projected))
		for i, name := range projected {
			p := fmt.Sprintf("#f%d", i)
			placeholders = append(placeholders, p)
			names[p] = name
		}
		in["ProjectionExpression"], in["ExpressionAttributeNames"] = strings.Join(placeholders, ", "), names
	}
	return in
}

// attributes returns the primary key of t.
func (t *item) attributes() fields {
	key := make(fields, 2)
	for _, part := range []config.KeyPart{t.hash, t.sort} {
		switch part.Type {
		case "S", "N":
			key[part.Name] = fields{part.Type: part.Value}
		case "B":
			key[part.Name] = fields{part.Type: []byte(part.Value)}
		}
	}
	return key
}

// keyIn returns the primary key in an item, which has the same form as that of t.
func (t *item) keyIn(item attributes) (key itemKey, ok bool) {
	hash, ok := keyPart(item[t.hash.Name])
	if !ok || t.sort.Name == "" {
		return itemKey{hash: hash}, ok
	}
	sort, ok := keyPart(item[t.sort.Name])
	return itemKey{hash, sort}, ok
}

func keyPart(attribute []byte) (canonicalValue string, ok bool) {
	kind, value := typed(attribute)
	switch kind {
	case "S", "N":
		text, ok := unquote(value)
		return canonical(kind, text), ok
	case "B":
		b, ok := unquoteBinary(value)
		return canonical(kind, b), ok
	default:
		return "", false
	}
}

// canonical returns what equal values of a key have in common: 42 and 4.2E1 are one number.
func canonical(kind, value string) string {
	if d, ok := parseDecimal(value); ok && kind == "N" {
		value = d.String()
	}
	return kind + value
}

// sleep waits for d and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
