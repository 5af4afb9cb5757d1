package awstest

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Secret is one version of a secret.
type Secret struct {
	Text   string
	Binary []byte   // in place of Text unless nil
	Stages []string // beside AWSCURRENT; of this version from now on, and of no other
}

type secret struct {
	name, arn string
	versions  []secretVersion // the newest last
	deleted   bool
}

type secretVersion struct {
	Secret
	id      string
	created time.Time
}

// PutSecret makes a version of a secret the current one and the one that was current the previous one. It returns the ARN
// of the secret and the id of the version.
func (f *Fake) PutSecret(region, name string, s Secret) (arn, versionID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := resource{region, name}
	old := f.secrets[id]
	if old == nil {
		h := fnv.New32a()
		h.Write([]byte(region + " " + name))
		old = &secret{name: name, arn: fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%06x", region, Account, name, h.Sum32()&0xffffff)}
		f.secrets[id] = old
	}
	old.deleted = false
	s.Stages = append([]string{"AWSCURRENT"}, s.Stages...)
	for i := range old.versions {
		v := &old.versions[i]
		current := slices.Contains(v.Stages, "AWSCURRENT")
		v.Stages = slices.DeleteFunc(v.Stages, func(stage string) bool {
			return stage == "AWSPREVIOUS" || slices.Contains(s.Stages, stage)
		})
		if current {
			v.Stages = append(v.Stages, "AWSPREVIOUS")
		}
	}
	versionID = fmt.Sprintf("00000000-0000-4000-8000-%012d", len(old.versions)+1)
	old.versions = append(old.versions, secretVersion{s, versionID, time.Now()})
	return old.arn, versionID
}

// MarkSecretDeleted schedules a secret for deletion: it exists and cannot be read. PutSecret restores it.
func (f *Fake) MarkSecretDeleted(region, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.secrets[resource{region, name}]; s != nil {
		s.deleted = true
	}
}

type getSecretValueInput struct{ SecretId, VersionId, VersionStage string }

func (f *Fake) getSecretValue(region string, body []byte) (request, error) {
	in, err := strict[getSecretValueInput](body)
	if err != nil {
		return request{}, err
	}
	if in.SecretId == "" {
		return request{}, errors.New("no SecretId")
	}
	if _, _, err := parseARN(in.SecretId, "secretsmanager", region); err != nil {
		return request{}, err
	}
	return request{names: []string{in.SecretId}, run: func(Fault) (any, error) {
		s, v, err := f.findSecret(region, in)
		if err != nil {
			return nil, err
		}
		answer := map[string]any{
			"ARN": s.arn, "Name": s.name, "VersionId": v.id, "VersionStages": v.Stages, "CreatedDate": epoch(v.created),
		}
		if v.Binary != nil {
			answer["SecretBinary"] = v.Binary
		} else {
			answer["SecretString"] = v.Text
		}
		return answer, nil
	}}, nil
}

// findSecret finds a secret by its name or by its ARN with or without the random end, and a version of it.
func (f *Fake) findSecret(region string, in getSecretValueInput) (*secret, secretVersion, error) {
	name := in.SecretId
	if rest, isARN, _ := parseARN(name, "secretsmanager", region); isARN {
		name = strings.TrimPrefix(rest, "secret:")
	}
	s := f.secrets[resource{region, name}]
	if s == nil && name != in.SecretId {
		for _, other := range f.secrets {
			if other.arn == in.SecretId {
				s = other
			}
		}
	}
	if s == nil {
		return nil, secretVersion{}, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if s.deleted {
		return nil, secretVersion{}, refuse("InvalidRequestException",
			"You can't perform this operation on the secret because it was marked for deletion.")
	}
	stage := in.VersionStage
	if in.VersionId == "" {
		stage = cmp.Or(stage, "AWSCURRENT")
	}
	for _, v := range s.versions {
		if (in.VersionId == "" || v.id == in.VersionId) && (stage == "" || slices.Contains(v.Stages, stage)) {
			return s, v, nil
		}
	}
	if in.VersionId != "" && in.VersionStage != "" {
		return nil, secretVersion{}, refuse("InvalidRequestException", "The VersionStage is not associated to the VersionId.")
	}
	return nil, secretVersion{}, refuse("ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for %s%s.", in.VersionId, stage)
}
