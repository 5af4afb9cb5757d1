package awstest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// referencePrefix makes a parameter of a secret of the same region.
const referencePrefix = "/aws/reference/secretsmanager/"

// Parameter is one version of a parameter.
type Parameter struct {
	Value  string
	Type   string   // String (also when empty), StringList or SecureString
	Labels []string // of this version from now on, and of no other
}

type version struct {
	Parameter
	number   int
	modified time.Time
}

// PutParameter adds the next version of a parameter, counting from 1.
func (f *Fake) PutParameter(region, name string, p Parameter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Type = cmp.Or(p.Type, "String")
	p.Labels = slices.Clone(p.Labels)
	id := resource{region, name}
	old := f.parameters[id]
	for i := range old {
		old[i].Labels = slices.DeleteFunc(old[i].Labels, func(l string) bool { return slices.Contains(p.Labels, l) })
	}
	f.parameters[id] = append(old, version{p, len(old) + 1, time.Now()})
}

// DeleteParameter removes a parameter with all its versions.
func (f *Fake) DeleteParameter(region, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.parameters, resource{region, name})
}

// parameterOut is a parameter in an answer.
type parameterOut struct {
	ARN, DataType, Name, Type, Value string
	Version                          int
	LastModifiedDate                 float64
	Selector                         string `json:",omitempty"`
	SourceResult                     string `json:",omitempty"`
}

type getParameterInput struct {
	Name           string
	WithDecryption bool
}

func (f *Fake) getParameter(region string, body []byte) (request, error) {
	in, err := strict[getParameterInput](body)
	if err = errors.Join(err, checkNames(region, in.WithDecryption, in.Name)); err != nil {
		return request{}, err
	}
	return request{names: []string{in.Name}, run: func(Fault) (any, error) {
		p, err := f.findParameter(region, in.Name)
		return map[string]any{"Parameter": p}, err
	}}, nil
}

type getParametersInput struct {
	Names          []string
	WithDecryption bool
}

func (f *Fake) getParameters(region string, body []byte) (request, error) {
	in, err := strict[getParametersInput](body)
	if err = errors.Join(err, checkNames(region, in.WithDecryption, in.Names...)); err != nil {
		return request{}, err
	}
	if n := len(in.Names); n < 1 || n > 10 {
		return request{}, fmt.Errorf("%d names, want 1 to 10", n)
	}
	return request{names: in.Names, run: func(Fault) (any, error) {
		found, invalid := []parameterOut{}, []string{}
		for _, name := range in.Names {
			if p, err := f.findParameter(region, name); err != nil {
				invalid = append(invalid, name)
			} else {
				found = append(found, p)
			}
		}
		if !f.KeepOrder {
			slices.Reverse(found)
		}
		return map[string]any{"Parameters": found, "InvalidParameters": invalid}, nil
	}}, nil
}

// checkNames returns what is wrong with names of parameters in one request.
func checkNames(region string, decrypt bool, names ...string) error {
	if !decrypt {
		return errors.New("WithDecryption is not true")
	}
	seen := make(map[string]bool)
	for _, name := range names {
		if name == "" || seen[name] {
			return fmt.Errorf("name %q is empty or asked for twice", name)
		}
		seen[name] = true
		if _, _, err := parseARN(name, "ssm", region); err != nil {
			return err
		}
	}
	return nil
}

// findParameter reads a parameter by its name or ARN, with or without a :version or :label.
func (f *Fake) findParameter(region, asked string) (parameterOut, error) {
	name := asked
	rest, isARN, _ := parseARN(asked, "ssm", region)
	if isARN {
		name = strings.TrimPrefix(rest, "parameter")
	}
	name, selector, selected := strings.Cut(name, ":")
	if reference, ok := strings.CutPrefix(name, referencePrefix); ok {
		return f.findReference(region, reference, selector)
	}
	versions := f.parameters[resource{region, name}]
	if isARN && versions == nil {
		// A name without a slash in front gets one in its ARN.
		name = strings.TrimPrefix(name, "/")
		versions = f.parameters[resource{region, name}]
	}
	if versions == nil {
		return parameterOut{}, refuse("ParameterNotFound", "")
	}
	if !selected {
		return out(region, name, versions[len(versions)-1]), nil
	}
	for _, v := range versions {
		if strconv.Itoa(v.number) == selector || slices.Contains(v.Labels, selector) {
			p := out(region, name, v)
			p.Selector = ":" + selector
			return p, nil
		}
	}
	return parameterOut{}, refuse("ParameterVersionNotFound", "Systems Manager could not find version %s of %s.", selector, name)
}

// findReference reads a secret as a parameter; selector is a stage or the id of a version.
func (f *Fake) findReference(region, id, selector string) (parameterOut, error) {
	s, v, err := f.findSecret(region, getSecretValueInput{SecretId: id, VersionStage: selector})
	if err != nil {
		s, v, err = f.findSecret(region, getSecretValueInput{SecretId: id, VersionId: selector})
	}
	if err != nil || v.Binary != nil {
		return parameterOut{}, refuse("ParameterNotFound", "An error occurred (ResourceNotFoundException) when referencing Secrets Manager.")
	}
	name := referencePrefix + id
	if f.ShortReferenceNames {
		name = id
	}
	p := out(region, name, version{Parameter: Parameter{Value: v.Text, Type: "SecureString"}, modified: v.created})
	source, err := json.Marshal(map[string]any{"ARN": s.arn, "name": s.name, "versionId": v.id, "versionStages": v.Stages})
	if err != nil {
		return parameterOut{}, err
	}
	p.SourceResult = string(source)
	if selector != "" {
		p.Selector = ":" + selector
	}
	return p, nil
}

func out(region, name string, v version) parameterOut {
	return parameterOut{
		ARN:              fmt.Sprintf("arn:aws:ssm:%s:%s:parameter/%s", region, Account, strings.TrimPrefix(name, "/")),
		DataType:         "text",
		Name:             name,
		Type:             v.Type,
		Value:            v.Value,
		Version:          v.number,
		LastModifiedDate: epoch(v.modified),
	}
}

type byPathInput struct {
	Path             string
	Recursive        bool
	WithDecryption   bool
	MaxResults       *int
	NextToken        string
	ParameterFilters []json.RawMessage
}

type filter struct {
	Key, Option string
	Values      []string
}

func (f *Fake) getParametersByPath(region string, body []byte) (request, error) {
	in, err := strict[byPathInput](body)
	if err != nil {
		return request{}, err
	}
	if !in.Recursive || !in.WithDecryption || !strings.HasPrefix(in.Path, "/") {
		return request{}, errors.New("want Recursive, WithDecryption and a Path that begins with a slash")
	}
	size := 10
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	if size < 1 || size > 10 {
		return request{}, fmt.Errorf("MaxResults %d, want 1 to 10", size)
	}
	var labels []string
	for _, raw := range in.ParameterFilters {
		by, err := strict[filter](raw)
		if err != nil {
			return request{}, err
		}
		if by.Key != "Label" || by.Option != "" && by.Option != "Equals" || len(by.Values) == 0 || labels != nil {
			return request{}, fmt.Errorf("filter %s: want one, Label Equals", raw)
		}
		labels = by.Values
	}
	return request{names: []string{in.Path}, run: func(Fault) (any, error) {
		return f.page(region, in, size, labels)
	}}, nil
}

// page answers one page of what is below a path. As in AWS, the label is looked at after a page is cut, so that a page
// may be empty, the last one included, and is no sign of the end.
func (f *Fake) page(region string, in byPathInput, size int, labels []string) (any, error) {
	prefix := strings.TrimSuffix(in.Path, "/") + "/"
	var names []string
	for id := range f.parameters {
		if id.region == region && strings.HasPrefix(id.name, prefix) {
			names = append(names, id.name)
		}
	}
	slices.Sort(names)
	after, ok := strings.CutPrefix(in.NextToken, "after "+prefix+" ")
	if in.NextToken != "" && !ok {
		return nil, refuse("InvalidNextToken", "The specified token isn't valid.")
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name <= after })

	answer := map[string]any{}
	if len(names) > size {
		names = names[:size]
		answer["NextToken"] = "after " + prefix + " " + names[size-1]
	}
	found := []parameterOut{}
	for _, name := range names {
		versions := f.parameters[resource{region, name}]
		for _, v := range slices.Backward(versions) {
			if labels == nil || slices.ContainsFunc(labels, func(l string) bool { return slices.Contains(v.Labels, l) }) {
				found = append(found, out(region, name, v))
				break
			}
		}
	}
	answer["Parameters"] = found
	return answer, nil
}
