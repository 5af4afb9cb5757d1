package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	for _, c := range cfg.Items {
		t := &item{in: c.Region, table: c.Table, hash: c.Hash, sort: c.Sort, consistent: c.Consistent}
		if len(c.Fields) > 0 {
			t.fields = slices.Compact(slices.Sorted(slices.Values(c.Fields)))
		}
		t.key = itemKey{canonical(c.Hash.Type, c.Hash.Value), canonical(c.Sort.Type, c.Sort.Value)}
		// A key that does not fit the table fails the whole call, hence the attributes' names and types.
		t.batch = fmt.Sprintf("%q %v %q", []string{t.table, t.hash.Name, t.hash.Type, t.sort.Name, t.sort.Type}, t.consistent, t.fields)
		entries = append(entries, entry[*item]{c.Entry, cfg.Timeout, fmt.Sprintf("%q %s %q", t.in, t.batch, t.key), t})
	}
	s := &Items{declared: declare("dynamodb", entries), clients: clients}
	s.batches = batches[*item]{size: maxKeys, single: s.getItem, many: s.batchGetItem}
	return s
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
	in := &dynamodb.GetItemInput{TableName: aws.String(t.table), Key: t.attributes()}
	if t.consistent {
		in.ConsistentRead = aws.Bool(true)
	}
	if t.fields != nil {
		in.ProjectionExpression, in.ExpressionAttributeNames = projection(t.fields)
	}
	out, err := call(ctx, s.clients, s.clients.dynamodbIn(t.in).GetItem, in)
	if err != nil {
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

// requestItems asks for items of one group.
func (s *Items) requestItems(ctx context.Context, group []*item) (*dynamodb.BatchGetItemOutput, error) {
	t := group[0]
	asked := types.KeysAndAttributes{}
	for _, t := range group {
		asked.Keys = append(asked.Keys, t.attributes())
	}
	if t.consistent {
		asked.ConsistentRead = aws.Bool(true)
	}
	if t.fields != nil {
		// The answers' keys tell which is which.
		fields := append(slices.Clone(t.fields), t.hash.Name)
		if t.sort.Name != "" {
			fields = append(fields, t.sort.Name)
		}
		slices.Sort(fields)
		asked.ProjectionExpression, asked.ExpressionAttributeNames = projection(slices.Compact(fields))
	}
	return call(ctx, s.clients, s.clients.dynamodbIn(t.in).BatchGetItem, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{t.table: asked},
	})
}

// matchItems lands the items of group that out settles. It returns those that are to be asked for again, and those about
// which out leaves a doubt. An item that is absent is missing only if nothing that came could be it.
func matchItems(group []*item, out *dynamodb.BatchGetItemOutput, land func(*item, *cache.Value, error)) (again, unsure []*item) {
	asked := make(map[itemKey]bool)
	for _, t := range group {
		asked[t.key] = true
	}
	answers := make(map[itemKey]map[string]types.AttributeValue)
	unprocessed := make(map[itemKey]bool)
	twice := make(map[itemKey]bool)
	strange := false
	for _, found := range out.Responses {
		for _, attributes := range found {
			key, ok := group[0].keyIn(attributes)
			strange = strange || !ok || !asked[key]
			twice[key] = answers[key] != nil
			answers[key] = attributes
		}
	}
	for _, left := range out.UnprocessedKeys {
		for _, attributes := range left.Keys {
			key, ok := group[0].keyIn(attributes)
			strange = strange || !ok || !asked[key]
			unprocessed[key] = true
		}
	}
	for _, t := range group {
		switch found := answers[t.key]; {
		case found != nil && !twice[t.key] && !unprocessed[t.key]:
			if t.fields != nil {
				for _, name := range []string{t.hash.Name, t.sort.Name} {
					if !slices.Contains(t.fields, name) {
						delete(found, name)
					}
				}
			}
			v, err := itemValue(found)
			land(t, v, err)
		case found == nil && unprocessed[t.key]:
			again = append(again, t)
		case found == nil && !strange:
			land(t, nil, errNoItem())
		default:
			unsure = append(unsure, t)
		}
	}
	return again, unsure
}

func itemValue(attributes map[string]types.AttributeValue) (*cache.Value, error) {
	body, err := appendItem(nil, attributes)
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	return &cache.Value{Body: body}, nil
}

func errNoItem() error { return &failure{class: cache.ErrMissing, text: "no item has this key"} }

// projection returns the expression for fields, with a placeholder for each: names may be reserved words, and a dot in a
// name would be taken for a path.
func projection(fields []string) (*string, map[string]string) {
	placeholders := make([]string, 0, len(fields))
	names := make(map[string]string, len(fields))
	for i, name := range fields {
		p := fmt.Sprintf("#f%d", i)
		placeholders = append(placeholders, p)
		names[p] = name
	}
	return aws.String(strings.Join(placeholders, ", ")), names
}

// attributes returns the primary key of t.
func (t *item) attributes() map[string]types.AttributeValue {
	key := make(map[string]types.AttributeValue, 2)
	for _, part := range []config.KeyPart{t.hash, t.sort} {
		switch part.Type {
		case "S":
			key[part.Name] = &types.AttributeValueMemberS{Value: part.Value}
		case "N":
			key[part.Name] = &types.AttributeValueMemberN{Value: part.Value}
		case "B":
			key[part.Name] = &types.AttributeValueMemberB{Value: []byte(part.Value)}
		}
	}
	return key
}

// keyIn returns the primary key among attributes, which has the same form as that of t.
func (t *item) keyIn(attributes map[string]types.AttributeValue) (key itemKey, ok bool) {
	hash, ok := keyPart(attributes[t.hash.Name])
	if !ok || t.sort.Name == "" {
		return itemKey{hash: hash}, ok
	}
	sort, ok := keyPart(attributes[t.sort.Name])
	return itemKey{hash, sort}, ok
}

func keyPart(v types.AttributeValue) (canonicalValue string, ok bool) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return canonical("S", v.Value), true
	case *types.AttributeValueMemberN:
		return canonical("N", v.Value), true
	case *types.AttributeValueMemberB:
		return canonical("B", string(v.Value)), true
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
