package source

import (
	"strings"
	"testing"
	"testing/synctest"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

func TestSecretValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "text", awstest.Secret{Text: "hush\n"})
		fake.PutSecret(here, "empty", awstest.Secret{})
		fake.PutSecret(here, "binary", awstest.Secret{Binary: []byte{0, 0xff, '\n'}})
		_, first := fake.PutSecret(here, "versions", awstest.Secret{Text: "first"})
		fake.PutSecret(here, "versions", awstest.Secret{Text: "second", Stages: []string{"blue"}})
		arn, _ := fake.PutSecret(here, "versions", awstest.Secret{Text: "third"})

		version := func(name, stage, id string) config.Secret {
			return config.Secret{Entry: config.Entry{Name: name}, ID: arn, Stage: stage, VersionID: id}
		}
		s := secrets(t, fake, secret1("text"), secret1("empty"), secret1("binary"), secret1("versions"), secret1(arn),
			secret1(arn[:strings.LastIndex(arn, "-")]), version("current", "AWSCURRENT", ""), version("previous", "AWSPREVIOUS", ""),
			version("blue", "blue", ""), version("first", "", first))
		want := map[string]string{
			"text": "hush\n", "empty": "", "binary": "\x00\xff\n", "versions": "third", arn: "third",
			arn[:strings.LastIndex(arn, "-")]: "third", "current": "third", "previous": "second", "blue": "second", "first": "first",
		}
		var names []string
		for _, k := range s.Keys() {
			names = append(names, k.Name)
		}
		equal(t, "values", bodies(t, s, append(names, "current")...), want)
		// The stage AWSCURRENT is what is read without one.
		wantCalls(t, fake, map[string]int{"GetSecretValue": 9})

		if got := fetch(t, t.Context(), s, "binary")["binary"].value; !got.Binary {
			t.Error("a binary secret is not marked as binary")
		}
		if got := fetch(t, t.Context(), s, "text")["text"].value; got.Binary {
			t.Error("a text secret is marked as binary")
		}
	})
}

func TestMissingSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "deleted", awstest.Secret{Text: "x"})
		fake.MarkSecretDeleted(here, "deleted")
		fake.PutSecret(here, "other", awstest.Secret{Text: "x"})
		fake.Fail(awstest.Match{Name: "other"}, awstest.Fault{Code: "InvalidRequestException", Message: "You can't do this."})
		stage := config.Secret{Entry: config.Entry{Name: "stage"}, ID: "other", Stage: "none"}
		got := fetch(t, t.Context(), secrets(t, fake, secret1("deleted"), secret1("never"), secret1("other"), stage), "deleted", "never", "other")
		wantClass(t, "a secret marked for deletion", got["deleted"].err, cache.ErrMissing)
		wantClass(t, "a secret that never was", got["never"].err, cache.ErrMissing)
		wantClass(t, "another invalid request", got["other"].err, nil)
	})
}

func TestSecretRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "s", awstest.Secret{Text: "here"})
		fake.PutSecret(there, "s", awstest.Secret{Text: "there"})
		elsewhere := config.Secret{Entry: config.Entry{Name: "there", Region: there}, ID: "s"}
		s := secrets(t, fake, secret1("s"), elsewhere)
		equal(t, "values", bodies(t, s, "s", "there"), map[string]string{"s": "here", "there": "there"})
		a, b := s.clients.in(secretsManager, here), s.clients.in(secretsManager, here)
		if a != b || a == s.clients.in(secretsManager, there) {
			t.Error("want one client a region")
		}
	})
}
