// Package policy decides which permissions a configuration needs: those for the calls that are made to read what it
// declares, and no others.
package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cache-extension/extension/internal/config"
)

// Options complete what a configuration leaves open about its resources. What is still open then is a fault, unless SAM
// is set.
type Options struct {
	Partition string // such as aws-cn; empty for that of each Region
	Region    string // of entries that give none
	Account   string // twelve digits
	KMSKey    string // customer managed key that values are encrypted with: its id, ARN or alias/NAME; empty for none
	// SAM leaves to CloudFormation what is not given (${AWS::Partition}, ${AWS::Region}, ${AWS::AccountId}), and keeps
	// references such as ${Table} in names. The document is for Document.SAM then: IAM does not know what they mean.
	SAM bool
}

// Document is an IAM policy. Marshalled to JSON it is what IAM takes; equal input makes equal bytes.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement allows each of its actions on each of its resources.
type Statement struct {
	Effect   string // "Allow"
	Action   []string
	Resource []string // ARNs, in which * and ? are wildcards; sorted, each once
	// Condition is by operator, then by the key that it looks at; nil for none.
	Condition map[string]map[string][]string `json:",omitempty"`
}

// The pseudo parameters of CloudFormation.
const (
	pseudoPartition = "${AWS::Partition}"
	pseudoRegion    = "${AWS::Region}"
	pseudoAccount   = "${AWS::AccountId}"
)

var (
	accountForm   = regexp.MustCompile(`^[0-9]{12}$`)
	partitionForm = regexp.MustCompile(`^aws[a-z-]*$`)
	regionForm    = regexp.MustCompile(`^[a-z0-9-]+$`)
	// nameForm has all that AWS allows in an ARN and in the name of a parameter, secret or table.
	nameForm = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!:-]*$`)
	// reference is to a resource or parameter of a template, as !Sub has it.
	reference = regexp.MustCompile(`\$\{[A-Za-z0-9:.]+\}`)
	// arnReference is one that stands for a whole ARN. A secret calls its own Id.
	arnReference = regexp.MustCompile(`^\$\{[A-Za-z0-9]+\.(Arn|Id)\}$`)
	// randomEnd is what Secrets Manager puts behind the name of a secret in its ARN.
	randomEnd = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

// builder makes one document.
type builder struct {
	Options
	file      string
	encrypted map[place]bool // where values are read that a key may have encrypted
	noAccount bool           // there is an ARN that lacks it
	faults    config.Faults
}

// place is a service in a region.
type place struct{ service, region string }

// For returns the policy of a role that reads all that cfg declares, in batches and one by one: where one of the two is
// denied, the other is tried. Its error is of type config.Faults.
//
// An entry without a Region gets that of o. For a policy that does not depend on who makes it, load cfg with
// config.Options.Check and without AWS_REGION and AWS_DEFAULT_REGION.
func For(cfg *config.Config, o Options) (Document, error) {
	b := &builder{Options: o, file: cfg.File, encrypted: make(map[place]bool)}
	b.form("--account", o.Account, accountForm, "twelve digits")
	b.form("--partition", o.Partition, partitionForm, "a partition (such as aws-cn)")
	b.form("--region", o.Region, regionForm, "a region (such as us-west-2)")

	var tables, parameters, paths, secrets []string
	for _, it := range cfg.Items {
		tables = append(tables, b.entry("dynamodb", it.Entry, "dynamodb", "table/", it.Table))
	}
	for _, p := range cfg.Parameters {
		id := asked(p.Entry, p.ID)
		name, isSecret := strings.CutPrefix(id, config.SecretReference)
		switch {
		case p.Path != "":
			// To IAM it is the path that is read, without a slash at its end, and whoever may read it may read all below it.
			paths = append(paths, b.entry("parameters", p.Entry, "ssm", "parameter", below(p.Path)))
		case isSecret:
			// Parameter Store reads it with the permissions of who asks.
			secrets = append(secrets, b.secret("parameters", p.Entry, name))
			parameters = append(parameters, b.arn("ssm", b.region(p.Entry), "parameter"+id))
		default:
			parameters = append(parameters, b.entry("parameters", p.Entry, "ssm", "parameter", below(id)))
		}
	}
	for _, s := range cfg.Secrets {
		secrets = append(secrets, b.secret("secrets", s.Entry, asked(s.Entry, s.ID)))
	}

	d := Document{Version: "2012-10-17"}
	d.allow(tables, "dynamodb:BatchGetItem", "dynamodb:GetItem")
	d.allow(parameters, "ssm:GetParameter", "ssm:GetParameters")
	d.allow(paths, "ssm:GetParametersByPath")
	d.allow(secrets, "secretsmanager:GetSecretValue")
	switch {
	case len(d.Statement) == 0:
		b.faults = append(b.faults, config.Fault{File: b.file, Text: "declares nothing to read, so there is nothing to allow"})
	case o.KMSKey != "":
		d.Statement = append(d.Statement, b.decrypt())
	}
	if b.noAccount {
		b.fault("no account for the ARNs (give --account 123456789012, or --sam for a template, which fills in its own)")
	}
	if len(b.faults) > 0 {
		return Document{}, b.faults.Sorted()
	}
	return d, nil
}

// allow adds a statement, unless there are no resources.
func (d *Document) allow(resources []string, actions ...string) {
	if len(resources) == 0 {
		return
	}
	slices.Sort(resources)
	d.Statement = append(d.Statement, Statement{Effect: "Allow", Action: actions, Resource: slices.Compact(resources)})
}

// captured stands in a name for what a placeholder may stand for, until it is a wildcard in an ARN: no name holds it.
const captured = "\x00"

// asked returns by which name AWS is asked for what an entry reads.
func asked(e config.Entry, name string) string {
	if e.Pattern == nil {
		return name
	}
	return config.FillAll(name, captured)
}

// withWildcards returns an ARN as it stands in a policy.
func withWildcards(arn string) string { return strings.ReplaceAll(arn, captured, "*") }

// below returns name as it stands behind "parameter" in an ARN: with one slash in front and none at the end. What stands for
// a whole ARN is returned as it is.
func below(name string) string {
	if isARN(name) || arnReference.MatchString(name) {
		return name
	}
	return "/" + strings.TrimSuffix(strings.TrimPrefix(name, "/"), "/")
}

func isARN(name string) bool { return strings.HasPrefix(name, "arn:") }

// entry checks an entry and returns the ARN of what it reads, which may be its name.
func (b *builder) entry(section string, e config.Entry, service, prefix, name string) string {
	region := b.region(e)
	if region == "" {
		b.faultAt(e, "%s: no region (give the entry one, or give --region)", section)
	}
	b.encrypted[place{service, region}] = true
	plain := strings.ReplaceAll(name, captured, "")
	if b.SAM {
		plain = reference.ReplaceAllString(plain, "")
	}
	if !nameForm.MatchString(plain) || strings.HasSuffix(name, ":") {
		b.faultAt(e, "%s: %q has a character that no name has (and IAM takes *, ? and $ for more than they are)", section, withWildcards(name))
	}
	if isARN(name) || b.SAM && arnReference.MatchString(name) {
		return withWildcards(name)
	}
	return b.arn(service, region, prefix+name)
}

// secret returns the ARN of a secret, with wildcards for the random end that only an ARN may have.
func (b *builder) secret(section string, e config.Entry, id string) string {
	arn := b.entry(section, e, "secretsmanager", "secret:", id)
	if arn == withWildcards(id) && (!isARN(id) || randomEnd.MatchString(id)) {
		return arn
	}
	return arn + "-??????"
}

// region returns where an entry is read, or nothing where nobody says.
func (b *builder) region(e config.Entry) string {
	region := cmp.Or(e.Region, b.Region)
	if region == "" && b.SAM {
		return pseudoRegion
	}
	return region
}

// arn returns the ARN of a resource of the account.
func (b *builder) arn(service, region, resource string) string {
	partition, account := b.Partition, b.Account
	switch {
	case partition != "":
	case b.SAM:
		partition = pseudoPartition
	default:
		partition = partitionOf(region)
	}
	if account == "" {
		account = pseudoAccount
		b.noAccount = !b.SAM
	}
	return withWildcards("arn:" + partition + ":" + service + ":" + region + ":" + account + ":" + resource)
}

// partitionOf returns the partition of a region.
func partitionOf(region string) string {
	for _, p := range []struct{ prefix, partition string }{
		{"cn-", "aws-cn"},
		{"us-gov-", "aws-us-gov"},
		{"us-iso-", "aws-iso"},
		{"us-isob-", "aws-iso-b"},
		{"us-isof-", "aws-iso-f"},
		{"eu-isoe-", "aws-iso-e"},
		{"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.partition
		}
	}
	return "aws"
}

// form notes a fault where a flag is given and is not what it should be.
func (b *builder) form(flag, value string, form *regexp.Regexp, what string) {
	if value != "" && !form.MatchString(value) {
		b.fault("%s: %q is not %s", flag, value, what)
	}
}

// fault notes what is wrong with the options.
func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, config.Fault{Text: fmt.Sprintf(format, args...)})
}

// faultAt notes what is wrong with an entry.
func (b *builder) faultAt(e config.Entry, format string, args ...any) {
	b.faults = append(b.faults, config.Fault{File: b.file, Line: e.Line, Text: fmt.Sprintf(format, args...)})
}
