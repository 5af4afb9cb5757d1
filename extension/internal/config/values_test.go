package config

import (
	"errors"
	"testing"
)

func TestCheckNumber(t *testing.T) {
	const nines = "99999999999999999999999999999999999999" // 38 of them
	for _, tt := range []struct {
		name, input, want string
	}{
		{"zero", "0", ""},
		{"signs", "-1", ""},
		{"plus", "+1", ""},
		{"fraction only", ".5", ""},
		{"point at the end", "5.", ""},
		{"exponent", "-1.5E-3", ""},
		{"38 digits", nines, ""},
		{"zeros around do not count", "000" + nines + "000", ""},
		{"largest", "9." + nines[1:] + "e125", ""},
		{"smallest", "1e-130", ""},
		{"zero of any exponent", "0e99999999999", ""},
		{"39 digits", nines + "9", "has more than the 38 digits of a DynamoDB number"},
		{"39 digits about a point", "1." + nines, "has more than the 38 digits of a DynamoDB number"},
		{"too large", "1e126", "is outside the range of a DynamoDB number (1e-130 to 9.99e125)"},
		{"too small", "0.1e-130", "is outside the range of a DynamoDB number (1e-130 to 9.99e125)"},
		{"exponent beyond all bounds", "1e99999999999", "is outside the range of a DynamoDB number (1e-130 to 9.99e125)"},
		{"empty", "", "is not a number"},
		{"sign only", "-", "is not a number"},
		{"point only", ".", "is not a number"},
		{"two signs", "--1", "is not a number"},
		{"two points", "1.2.3", "is not a number"},
		{"no exponent", "1e", "is not a number"},
		{"fraction in the exponent", "1e1.5", "is not a number"},
		{"hexadecimal", "0x1F", "is not a number"},
		{"underscore", "1_000", "is not a number"},
		{"space", " 1", "is not a number"},
		{"infinity", "inf", "is not a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := checkNumber(tt.input); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("checkNumber(%q) = %q, want %q", tt.input, got, tt.want)
			}
			if want := !errors.Is(checkNumber(tt.input), errNoNumber); isNumber(tt.input) != want {
				t.Errorf("isNumber(%q) = %v, want %v", tt.input, !want, want)
			}
		})
	}
}

func TestSplitParameter(t *testing.T) {
	for _, tt := range []struct {
		name, input          string
		id, selector, region string
		fault                string
	}{
		{"name", "a", "a", "", "", ""},
		{"hierarchy", "/a/b", "/a/b", "", "", ""},
		{"version", "a:3", "a", "3", "", ""},
		{"label of a reference", "/aws/reference/secretsmanager/s:live", "/aws/reference/secretsmanager/s", "live", "", ""},
		{"ARN", "arn:aws:ssm:us-west-2:123456789012:parameter/a/b", "arn:aws:ssm:us-west-2:123456789012:parameter/a/b", "", "us-west-2", ""},
		{"ARN with label", "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a:live", "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a", "live", "cn-north-1", ""},
		{"ARN without a name", "arn:aws:ssm:us-west-2:123456789012:parameter/:3", "", "", "", "has no name before the colon"},
		{"ARN with two colons", "arn:aws:ssm:us-west-2:123456789012:parameter/a:3:4", "", "", "", "has more than one colon (a name may end in :VERSION or :LABEL)"},
		{
			"short ARN", "arn:aws:ssm", "", "", "",
			"is not an ARN of the form arn:aws:ssm:us-west-2:123456789012:parameter/NAME",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, selector, region, err := splitParameter(tt.input)
			fault := ""
			if err != nil {
				fault, selector = err.Error(), ""
			}
			if id != tt.id || selector != tt.selector || region != tt.region || fault != tt.fault {
				t.Errorf("splitParameter(%q) = %q, %q, %q, %q, want %q, %q, %q, %q", tt.input, id, selector, region, fault, tt.id, tt.selector, tt.region, tt.fault)
			}
		})
	}
}

func TestNear(t *testing.T) {
	for _, tt := range []struct{ name, input, want string }{
		{"swap", "nmae", "name"},
		{"swap in a short one", "tlt", "ttl"},
		{"one more", "parameterz", "parameters"},
		{"other case", "TTL", "ttl"},
		{"dashes", "stale-if-error", "stale_if_error"},
		{"short", "tt", "ttl"},
		{"beginning of one", "dyna", "dynamodb"},
		{"beginning of two, the shorter", "stale", "stale_wait"},
		{"with more behind", "server_settings", "server"},
		{"beginning of two letters", "se", ""},
		{"a short one with much behind", "assumed_role", ""},
		{"too far", "fixtures", ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := near(tt.input, append([]string{"name", "as"}, topKeys...)); got != tt.want {
				t.Errorf("near(%q) = %q, want %q", tt.input, got, tt.want)
			}
		})
	}
}
