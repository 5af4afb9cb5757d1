package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cache-extension/extension/internal/config"
)

// parse returns the configuration in text, read without AWS_REGION as the command does.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{Check: true})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const everyKind = `
parameters:
  - names: [/app/b, "/app/a:3", plain, /app/b:live]
  - name: arn:aws:ssm:eu-west-1:210987654321:parameter/shared/x
  - name: /aws/reference/secretsmanager/db
  - {path: /app/flags/, label: live}
  - {path: /app/prod, region: us-west-2}
  - path: /
secrets:
  - names: [db, app/key-AbCdEf]
  - name: arn:aws:secretsmanager:eu-west-1:123456789012:secret:whole-AbCdEf
  - name: arn:aws:secretsmanager:eu-west-1:123456789012:secret:part
dynamodb:
  - {table: Users, key: {id: 1}}
  - {table: Users, key: {id: 2}}
  - {table: arn:aws:dynamodb:eu-west-1:210987654321:table/Shared, key: {id: 1}}
`

func TestJSON(t *testing.T) {
	d, err := For(parse(t, everyKind), Options{Region: "eu-west-1", Account: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem"
      ],
      "Resource": [
        "arn:aws:dynamodb:eu-west-1:123456789012:table/Users",
        "arn:aws:dynamodb:eu-west-1:210987654321:table/Shared"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ssm:GetParameter",
        "ssm:GetParameters"
      ],
      "Resource": [
        "arn:aws:ssm:eu-west-1:123456789012:parameter/app/a",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/app/b",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/db",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/plain",
        "arn:aws:ssm:eu-west-1:210987654321:parameter/shared/x"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ssm:GetParametersByPath"
      ],
      "Resource": [
        "arn:aws:ssm:eu-west-1:123456789012:parameter/",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/app/flags",
        "arn:aws:ssm:us-west-2:123456789012:parameter/app/prod"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "secretsmanager:GetSecretValue"
      ],
      "Resource": [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/key-AbCdEf-??????",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-??????",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:part-??????",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:whole-AbCdEf"
      ]
    }
  ]
}`
	if string(got) != want {
		t.Errorf("For(every kind) =\n%s\nwant\n%s", got, want)
	}
}

// TestWildcards prints an asterisk for each placeholder, and for nothing else.
func TestWildcards(t *testing.T) {
	cfg := parse(t, `
parameters:
  - name: /tenants/{tenant}/plan
  - {name: "flag-{name}:live", as: "flag/{name}"}
  - name: /aws/reference/secretsmanager/{secret}
  - {name: "arn:aws:ssm:eu-west-1:210987654321:parameter/shared/{x}", as: "shared/{x}"}
secrets:
  - name: tenant/{tenant}/db
  - {name: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/{x}", as: "app/{x}"}
  - {name: "arn:aws:secretsmanager:eu-west-1:210987654321:secret:{any}", as: "any/{any}"}
dynamodb:
  - {table: Permissions, key: {tenant: "{tenant}", id: "{id}"}, as: "permission/{tenant}/{id}"}
`)
	d, err := For(cfg, Options{Region: "eu-west-1", Account: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range d.Statement {
		got = append(got, s.Resource...)
	}
	want := []string{
		"arn:aws:dynamodb:eu-west-1:123456789012:table/Permissions",
		"arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/*",
		"arn:aws:ssm:eu-west-1:123456789012:parameter/flag-*",
		"arn:aws:ssm:eu-west-1:123456789012:parameter/tenants/*/plan",
		"arn:aws:ssm:eu-west-1:210987654321:parameter/shared/*",
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:*-??????",
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/*-??????",
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:tenant/*/db-??????",
		"arn:aws:secretsmanager:eu-west-1:210987654321:secret:*-??????",
	}
	if !slices.Equal(got, want) {
		t.Errorf("For = resources\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	_, err = For(parse(t, "secrets: [{name: 'all/*/{x}'}]"), Options{Region: "eu-west-1", Account: "123456789012"})
	const fault = `config.yaml:1: secrets: "all/*/*" has a character that no name has (and IAM takes *, ? and $ for more than they are)`
	if err == nil || err.Error() != fault {
		t.Errorf("For, of a name with an asterisk = %v, want %s", err, fault)
	}
}

// TestColonAtTheEnd: YAML would take what is before it for a key.
func TestColonAtTheEnd(t *testing.T) {
	_, err := For(parse(t, "dynamodb: [{table: 'T:', key: {id: 1}}]"), Options{SAM: true})
	if err == nil || !strings.Contains(err.Error(), `"T:" has a character`) {
		t.Errorf("For, of a table T: = %v, want a fault", err)
	}
}

func TestSAM(t *testing.T) {
	cfg := parse(t, `
parameters:
  - {name: p, region: us-west-2}
  - {name: "$${Parameter.Arn}", region: us-west-2, as: q}
secrets:
  - {name: "$${Secret.Id}", as: s}
dynamodb:
  - {table: "$${Table}", key: {id: 1}, as: one}
  - {table: "$${Other.Arn}", key: {id: 1}, as: two}
`)
	for _, tt := range []struct {
		name  string
		input Options
		want  string
	}{
		{"all left open", Options{KMSKey: "${Key}"}, `Policies:
  - Version: "2012-10-17"
    Statement:
      - Effect: Allow
        Action:
          - dynamodb:BatchGetItem
          - dynamodb:GetItem
        Resource:
          - !Sub ${Other.Arn}
          - !Sub arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${Table}
      - Effect: Allow
        Action:
          - ssm:GetParameter
          - ssm:GetParameters
        Resource:
          - !Sub ${Parameter.Arn}
          - !Sub arn:${AWS::Partition}:ssm:us-west-2:${AWS::AccountId}:parameter/p
      - Effect: Allow
        Action:
          - secretsmanager:GetSecretValue
        Resource:
          - !Sub ${Secret.Id}
      - Effect: Allow
        Action:
          - kms:Decrypt
        Resource:
          - !Sub arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/${Key}
          - !Sub arn:${AWS::Partition}:kms:us-west-2:${AWS::AccountId}:key/${Key}
        Condition:
          StringLike:
            kms:ViaService:
              - !Sub dynamodb.${AWS::Region}.*
              - !Sub secretsmanager.${AWS::Region}.*
              - ssm.us-west-2.*
`},
		{"all given", Options{Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012"}, `Policies:
  - Version: "2012-10-17"
    Statement:
      - Effect: Allow
        Action:
          - dynamodb:BatchGetItem
          - dynamodb:GetItem
        Resource:
          - !Sub ${Other.Arn}
          - !Sub arn:aws-cn:dynamodb:cn-north-1:123456789012:table/${Table}
      - Effect: Allow
        Action:
          - ssm:GetParameter
          - ssm:GetParameters
        Resource:
          - !Sub ${Parameter.Arn}
          - arn:aws-cn:ssm:us-west-2:123456789012:parameter/p
      - Effect: Allow
        Action:
          - secretsmanager:GetSecretValue
        Resource:
          - !Sub ${Secret.Id}
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.input.SAM = true
			d, err := For(cfg, tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(d.SAM()); got != tt.want {
				t.Errorf("SAM with %+v =\n%s\nwant\n%s", tt.input, got, tt.want)
			}
			printed(t, d.SAM())
		})
	}
}

func TestKMSKey(t *testing.T) {
	const (
		id  = "1234abcd-12ab-34cd-56ef-1234567890ab"
		mrk = "mrk-1234abcd12ab34cd56ef1234567890ab"
	)
	for _, tt := range []struct{ name, config, input, want string }{
		{
			"an id holds wherever something is read", "parameters: [{names: [p]}, {path: /app, region: us-west-2}]", mrk,
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:123456789012:key/` + mrk +
				`","arn:aws:kms:us-west-2:123456789012:key/` + mrk + `"],"Condition":{"StringLike":{"kms:ViaService":["ssm.eu-west-1.*","ssm.us-west-2.*"]}}}`,
		},
		{
			"an ARN holds in its own region", "parameters: [{name: p}]\nsecrets: [{name: s, region: us-west-2}]", "arn:aws:kms:us-west-2:210987654321:key/" + id,
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:us-west-2:210987654321:key/` + id +
				`"],"Condition":{"StringLike":{"kms:ViaService":["secretsmanager.us-west-2.*"]}}}`,
		},
		{
			"an alias is not in the ARN", "dynamodb: [{table: T, key: {id: 1}}]", "alias/app/data",
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:123456789012:key/*"],` +
				`"Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":["alias/app/data"]},"StringLike":{"kms:ViaService":["dynamodb.eu-west-1.*"]}}}`,
		},
		{
			"nor is it in that of an alias", "secrets: [{name: s}]", "arn:aws:kms:eu-west-1:210987654321:alias/app",
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:210987654321:key/*"],` +
				`"Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":["alias/app"]},"StringLike":{"kms:ViaService":["secretsmanager.eu-west-1.*"]}}}`,
		},
		{
			"a referenced secret is encrypted as one", "parameters: [{name: /aws/reference/secretsmanager/s}]", id,
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:123456789012:key/` + id +
				`"],"Condition":{"StringLike":{"kms:ViaService":["secretsmanager.eu-west-1.*"]}}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := For(parse(t, tt.config), Options{Region: "eu-west-1", Account: "123456789012", KMSKey: tt.input})
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(d.Statement[len(d.Statement)-1])
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("For(%s) with key %s: last statement\n%s\nwant\n%s", tt.config, tt.input, got, tt.want)
			}
		})
	}
}

func TestPartitions(t *testing.T) {
	for _, tt := range []struct{ name, input, want string }{
		{"public", "eu-west-1", "aws"},
		{"China", "cn-north-1", "aws-cn"},
		{"GovCloud", "us-gov-west-1", "aws-us-gov"},
		{"isolated", "us-iso-east-1", "aws-iso"},
		{"isolated, B", "us-isob-east-1", "aws-iso-b"},
		{"sovereign", "eusc-de-east-1", "aws-eusc"},
	} {
		d, err := For(parse(t, "parameters: [{name: p}]"), Options{Region: tt.input, Account: "123456789012"})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := d.Statement[0].Resource[0], "arn:"+tt.want+":ssm:"+tt.input+":123456789012:parameter/p"; got != want {
			t.Errorf("%s: For with region %s allows %s, want %s", tt.name, tt.input, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	const one = "parameters: [{name: p}]"
	given := Options{Region: "eu-west-1", Account: "123456789012"}
	for _, tt := range []struct {
		name, config string
		input        Options
		want         string
	}{
		{"nothing declared", "ttl: 5m", given, "config.yaml: declares nothing to read, so there is nothing to allow"},
		{
			"no account and no region", "parameters:\n  - name: p\n  - {name: q, region: eu-west-1}\nsecrets:\n  - name: s\n", Options{},
			"config.yaml:2: parameters: no region (give the entry one, or give --region)\n" +
				"config.yaml:5: secrets: no region (give the entry one, or give --region)\n" +
				"no account for the ARNs (give --account 123456789012, or --sam for a template, which fills in its own)",
		},
		{
			"flags", one, Options{Region: "EU", Account: "1", Partition: "china", KMSKey: "mine"},
			"--account: \"1\" is not twelve digits\n--partition: \"china\" is not a partition (such as aws-cn)\n" +
				"--region: \"EU\" is not a region (such as us-west-2)\n--kms-key: \"mine\" is not a key (give its ARN, its id or alias/NAME)",
		},
		{
			"wildcards", "parameters: [{name: /app/*}]\nsecrets: [{name: 's$${aws:username}'}]\ndynamodb:\n  - {table: 'T?', key: {id: 1}}\n", given,
			"config.yaml:1: parameters: \"/app/*\" has a character that no name has (and IAM takes *, ? and $ for more than they are)\n" +
				"config.yaml:2: secrets: \"s${aws:username}\" has a character that no name has (and IAM takes *, ? and $ for more than they are)\n" +
				"config.yaml:4: dynamodb: \"T?\" has a character that no name has (and IAM takes *, ? and $ for more than they are)",
		},
		{
			"a reference to nothing in a template", "secrets: [{name: '$${!x}'}]", Options{SAM: true},
			"config.yaml:1: secrets: \"${!x}\" has a character that no name has (and IAM takes *, ? and $ for more than they are)",
		},
		{
			"a key of AWS's own", one, Options{SAM: true, KMSKey: "alias/aws/ssm"},
			"--kms-key: alias/aws/ssm is a key of AWS's own, which needs no permission (leave --kms-key out)",
		},
		{
			"a key of another region", one, Options{Region: "eu-west-1", Account: "123456789012", KMSKey: "arn:aws:kms:us-west-2:123456789012:alias/app"},
			"--kms-key: nothing is read in us-west-2, where the key is (give the key of the values that are read)",
		},
		{"a reference without a template", one, Options{Region: "eu-west-1", Account: "123456789012", KMSKey: "${Key}"}, "--kms-key: \"${Key}\" is not a key (give its ARN, its id or alias/NAME)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := For(parse(t, tt.config), tt.input)
			if err == nil || err.Error() != tt.want {
				t.Errorf("For(%q) with %+v = %v\nwant %s", tt.config, tt.input, err, tt.want)
			}
		})
	}
}
