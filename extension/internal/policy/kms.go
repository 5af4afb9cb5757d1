package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The forms of a key. A reference to a key in a template is its id.
var (
	keyARNForm   = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:(key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]+)$`)
	keyAliasForm = regexp.MustCompile(`^alias/[A-Za-z0-9/_-]+$`)
	keyIDForm    = regexp.MustCompile(`^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	keyRefForm   = regexp.MustCompile(`^\$\{[A-Za-z0-9]+\}$`)
)

// decrypt returns what allows the key to be used by the services that values are read from, on behalf of who reads, and
// by no other way.
func (b *builder) decrypt() Statement {
	var only, id string // the region, where the key's ARN gives it, and key/ID or alias/NAME
	switch arn := keyARNForm.FindStringSubmatch(b.KMSKey); {
	case arn != nil:
		only, id = arn[1], arn[2]
	case keyAliasForm.MatchString(b.KMSKey):
		id = b.KMSKey
	case keyIDForm.MatchString(b.KMSKey), b.SAM && keyRefForm.MatchString(b.KMSKey):
		id = "key/" + b.KMSKey
	default:
		b.fault("--kms-key: %q is not a key (give its ARN, its id or alias/NAME)", b.KMSKey)
		return Statement{}
	}
	if strings.HasPrefix(id, "alias/aws/") {
		b.fault("--kms-key: %s is a key of AWS's own, which needs no permission (leave --kms-key out)", id)
		return Statement{}
	}

	s := Statement{Effect: "Allow", Action: []string{"kms:Decrypt"}, Condition: make(map[string]map[string][]string)}
	resource := id
	if strings.HasPrefix(id, "alias/") {
		// An alias in an ARN would be the alias itself, which decrypts nothing.
		resource = "key/*"
		s.Condition["ForAnyValue:StringEquals"] = map[string][]string{"kms:ResourceAliases": {id}}
	}
	var via []string
	regions := make(map[string]bool)
	for at := range b.encrypted {
		if only == "" || at.region == only || at.region == pseudoRegion {
			// What follows differs by partition, and KMS alone says who calls it.
			via = append(via, at.service+"."+at.region+".*")
			regions[at.region] = true
		}
	}
	if len(via) == 0 {
		b.fault("--kms-key: nothing is read in %s, where the key is (give the key of the values that are read)", only)
	}
	slices.Sort(via)
	s.Condition["StringLike"] = map[string][]string{"kms:ViaService": via}
	if only != "" {
		s.Resource = []string{strings.TrimSuffix(b.KMSKey, id) + resource}
		return s
	}
	for _, region := range slices.Sorted(maps.Keys(regions)) {
		s.Resource = append(s.Resource, b.arn("kms", region, resource))
	}
	return s
}
