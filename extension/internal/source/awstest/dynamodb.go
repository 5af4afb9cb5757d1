package awstest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// KeyAttr is one attribute of a table's key.
type KeyAttr struct {
	Name string
	Type string // S, N or B
}

// item is an item or a key: attribute values as on the wire, by name.
type item map[string]json.RawMessage

// attribute is what an attribute value may look like.
type attribute struct {
	S, N       string
	B          []byte
	BOOL, NULL bool
	M          map[string]attribute
	L          []attribute
	SS, NS     []string
	BS         [][]byte
}

type table struct {
	key   []KeyAttr // hash, then sort if there is one
	items map[string]item
}

// maxAnswer is where BatchGetItem stops reading: 16 MB of items, before projection.
const maxAnswer = 16 << 20

// CreateTable makes an empty table. A zero sort makes one without a sort key.
func (f *Fake) CreateTable(region, name string, hash, sort KeyAttr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &table{key: []KeyAttr{hash}, items: make(map[string]item)}
	if sort != (KeyAttr{}) {
		t.key = append(t.key, sort)
	}
	f.tables[resource{region, name}] = t
}

// PutItem puts an item, in the JSON of the wire: {"pKey": {"S": "a"}, "size": {"N": "42"}}. It panics when there is no
// such table, or when the item does not fit it. What is put comes back to the letter; only for finding it are 42 and
// 42.0 the same number.
func (f *Fake) PutItem(region, tableName, wire string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, id, it := f.mustKey(region, tableName, wire)
	d := json.NewDecoder(strings.NewReader(wire))
	d.DisallowUnknownFields()
	if err := d.Decode(new(map[string]attribute)); err != nil {
		panic(fmt.Sprintf("awstest: item of %s: %v", tableName, err))
	}
	t.items[id] = it
}

// DeleteItem removes the item with the key, in the JSON of the wire. It panics when there is no such table.
func (f *Fake) DeleteItem(region, tableName, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, id, _ := f.mustKey(region, tableName, key)
	delete(t.items, id)
}

func (f *Fake) mustKey(region, tableName, wire string) (*table, string, item) {
	t := f.tables[resource{region, tableName}]
	if t == nil {
		panic("awstest: no table " + tableName + " in " + region)
	}
	var it item
	if err := json.Unmarshal([]byte(wire), &it); err != nil {
		panic(fmt.Sprintf("awstest: item of %s: %v", tableName, err))
	}
	key := make(item)
	for _, a := range t.key {
		if value, ok := it[a.Name]; ok {
			key[a.Name] = value
		}
	}
	id, err := t.id(key)
	if err != nil {
		panic(fmt.Sprintf("awstest: item of %s: %v", tableName, err))
	}
	return t, id, it
}

// read is what GetItem and a table of BatchGetItem have in common.
type read struct {
	ConsistentRead           bool              `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
}

type getItemInput struct {
	TableName string
	Key       item
	read
}

func (f *Fake) getItem(region string, body []byte) (request, error) {
	in, err := strict[getItemInput](body)
	if err != nil {
		return request{}, err
	}
	name, t, err := f.findTable(region, in.TableName)
	if err != nil {
		return request{}, err
	}
	fields, err := in.fields()
	if err != nil {
		return request{}, err
	}
	return request{names: []string{t.label(name, in.Key)}, tables: []string{name}, run: func(Fault) (any, error) {
		if t == nil {
			return nil, refuse("ResourceNotFoundException", "Requested resource not found")
		}
		id, err := t.id(in.Key)
		if err != nil {
			return nil, err
		}
		it, ok := t.items[id]
		if !ok {
			return map[string]any{}, nil
		}
		return map[string]any{"Item": it.only(fields)}, nil
	}}, nil
}

type batchGetItemInput struct{ RequestItems map[string]json.RawMessage }

type keysAndAttributes struct {
	Keys []item
	read
}

// tableRead is a validated keysAndAttributes. table is nil when there is none.
type tableRead struct {
	asked  string // name or ARN
	in     keysAndAttributes
	table  *table
	fields []string
}

func (f *Fake) batchGetItem(region string, body []byte) (request, error) {
	in, err := strict[batchGetItemInput](body)
	if err != nil {
		return request{}, err
	}
	var (
		req   request
		reads []tableRead
		seen  = make(map[string]bool)
	)
	for _, asked := range slices.Sorted(maps.Keys(in.RequestItems)) {
		r := tableRead{asked: asked}
		if r.in, err = strict[keysAndAttributes](in.RequestItems[asked]); err != nil {
			return request{}, err
		}
		var name string
		if name, r.table, err = f.findTable(region, asked); err != nil {
			return request{}, err
		}
		if r.fields, err = r.in.fields(); err != nil {
			return request{}, err
		}
		if len(r.in.Keys) == 0 {
			return request{}, fmt.Errorf("no keys for table %s", asked)
		}
		for _, key := range r.in.Keys {
			label := r.table.label(name, key)
			// A key that does not fit its table is no violation: AWS answers it, and so does run.
			if id, err := r.table.id(key); err == nil {
				if seen[name+" "+id] {
					return request{}, fmt.Errorf("duplicate key of %s", label)
				}
				seen[name+" "+id] = true
			}
			req.names = append(req.names, label)
		}
		req.tables = append(req.tables, name)
		reads = append(reads, r)
	}
	if n := len(req.names); n < 1 || n > 100 {
		return request{}, fmt.Errorf("%d keys, want 1 to 100", n)
	}
	req.run = func(fault Fault) (any, error) { return f.readBatch(reads, fault.Unprocessed) }
	return req, nil
}

// readBatch answers a BatchGetItem but for the first unprocessed keys and those past maxAnswer.
func (f *Fake) readBatch(reads []tableRead, unprocessed int) (any, error) {
	responses, left := make(map[string][]item), make(map[string]keysAndAttributes)
	size := 0
	for _, r := range reads {
		if r.table == nil {
			return nil, refuse("ResourceNotFoundException", "Requested resource not found")
		}
		found := []item{}
		rest := keysAndAttributes{read: r.in.read}
		for _, key := range r.in.Keys {
			id, err := r.table.id(key)
			if err != nil {
				return nil, err
			}
			it, ok := r.table.items[id]
			if unprocessed > 0 || size+it.size() > maxAnswer {
				unprocessed--
				rest.Keys = append(rest.Keys, key)
				continue
			}
			size += it.size()
			if ok {
				found = append(found, it.only(r.fields))
			}
		}
		if !f.KeepOrder {
			slices.Reverse(found)
		}
		responses[r.asked] = found
		if rest.Keys != nil {
			left[r.asked] = rest
		}
	}
	return map[string]any{"Responses": responses, "UnprocessedKeys": left}, nil
}

// findTable returns the name of a table asked by name or ARN, and the table, nil when there is none.
func (f *Fake) findTable(region, asked string) (string, *table, error) {
	rest, isARN, err := parseARN(asked, "dynamodb", region)
	if err != nil {
		return "", nil, err
	}
	name := asked
	if isARN {
		name = strings.TrimPrefix(rest, "table/")
	}
	if name == "" {
		return "", nil, errors.New("no table named")
	}
	return name, f.tables[resource{region, name}], nil
}

var placeholder = regexp.MustCompile(`^#\w+$`)

// fields returns the attributes of a projection, nil without one. Every one must come by a placeholder of its own, and
// every placeholder must be used: names are otherwise at the mercy of reserved words and dots.
func (r read) fields() ([]string, error) {
	if r.ProjectionExpression == nil {
		if r.ExpressionAttributeNames != nil {
			return nil, errors.New("ExpressionAttributeNames without an expression")
		}
		return nil, nil
	}
	var fields []string
	for part := range strings.SplitSeq(*r.ProjectionExpression, ",") {
		p := strings.TrimSpace(part)
		name, ok := r.ExpressionAttributeNames[p]
		if !placeholder.MatchString(p) || !ok {
			return nil, fmt.Errorf("ProjectionExpression has %q, which is no defined placeholder", p)
		}
		if slices.Contains(fields, name) {
			return nil, fmt.Errorf("ProjectionExpression has %q twice", name)
		}
		fields = append(fields, name)
	}
	if len(fields) != len(r.ExpressionAttributeNames) {
		return nil, errors.New("ExpressionAttributeNames has one that is not used")
	}
	return fields, nil
}

// only returns the attributes in fields, all for nil.
func (it item) only(fields []string) item {
	if fields == nil {
		return it
	}
	some := make(item)
	for _, name := range fields {
		if value, ok := it[name]; ok {
			some[name] = value
		}
	}
	return some
}

func (it item) size() int {
	n := 0
	for name, value := range it {
		n += len(name) + len(value)
	}
	return n
}

// id returns what tells a key from others of its table: equal for equal keys however they are written.
func (t *table) id(key item) (string, error) {
	if t == nil || len(key) != len(t.key) {
		return "", refuse("ValidationException", "The provided key element does not match the schema")
	}
	var id []string
	for _, a := range t.key {
		kind, text, err := scalar(key[a.Name])
		if err != nil || kind != a.Type {
			return "", refuse("ValidationException", "The provided key element does not match the schema")
		}
		if text == "" {
			return "", refuse("ValidationException", "The AttributeValue for a key attribute cannot contain an empty value. Key: %s", a.Name)
		}
		id = append(id, fmt.Sprintf("%q", text))
	}
	return strings.Join(id, " "), nil
}

// label returns the name of an item for Call.Names. The order of the key is not known without a table.
func (t *table) label(tableName string, key item) string {
	names := slices.Sorted(maps.Keys(key))
	if t != nil {
		slices.SortStableFunc(names, func(a, b string) int { return t.rank(a) - t.rank(b) })
	}
	label := tableName
	for _, name := range names {
		_, text, _ := scalar(key[name])
		label += "-" + text
	}
	return label
}

func (t *table) rank(name string) int {
	return slices.IndexFunc(t.key, func(a KeyAttr) bool { return a.Name == name })
}

// scalar returns the type and the canonical text of a value that may be in a key.
func scalar(wire json.RawMessage) (kind, text string, err error) {
	var value map[string]string
	if err := json.Unmarshal(wire, &value); err != nil || len(value) != 1 {
		return "", "", errors.New("want one of S, N, B")
	}
	for kind, text = range value {
	}
	switch kind {
	case "S":
	case "N":
		text, err = number(text)
	case "B":
		_, err = base64.StdEncoding.DecodeString(text)
	default:
		err = fmt.Errorf("type %q in a key", kind)
	}
	return kind, text, err
}

var decimal = regexp.MustCompile(`^[+-]?(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,3}))?$`)

// number returns a decimal number without needless digits. DynamoDB keeps 38 significant digits and refuses more.
func number(text string) (string, error) {
	m := decimal.FindStringSubmatch(text)
	if m == nil || len(strings.Trim(m[1]+m[2]+m[3], "0")) > 38 {
		return "", fmt.Errorf("%q is not a number of 38 digits at most", text)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", fmt.Errorf("%q is not a number", text)
	}
	if r.IsInt() {
		return r.Num().String(), nil
	}
	digits, _ := r.FloatPrec()
	return r.FloatString(digits), nil
}
