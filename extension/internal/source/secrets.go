package source

import (
	"context"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

// currentStage is the version that Secrets Manager gives to who asks for none.
const currentStage = "AWSCURRENT"

// Secrets reads section secrets from Secrets Manager, one call a secret: BatchGetSecretValue needs a grant on every secret
// of the account, and has a hundredth of the quota. It is a cache.Source.
type Secrets struct {
	declared[*secret]
	clients *Clients
}

type secret struct {
	region, id, stage, versionID string // stage and versionID are empty for the current version
}

// NewSecrets returns the source of cfg.Secrets.
func NewSecrets(cfg *config.Config, clients *Clients) *Secrets {
	entries := make([]entry[*secret], 0, len(cfg.Secrets))
	var patterns []pattern[*secret]
	for _, c := range cfg.Secrets {
		if c.Pattern == nil {
			entries = append(entries, secretEntry(c, cfg.Timeout))
			continue
		}
		patterns = append(patterns, pattern[*secret]{c.Pattern, func(captures config.Captures) (entry[*secret], bool) {
			return secretEntry(c.Fill(captures), cfg.Timeout), true
		}})
	}
	return &Secrets{declare("secrets", entries, patterns), clients}
}

func secretEntry(c config.Secret, timeout time.Duration) entry[*secret] {
	s := &secret{c.Region, c.ID, c.Stage, c.VersionID}
	if s.stage == currentStage && s.versionID == "" {
		s.stage = ""
	}
	return entry[*secret]{c.Entry, timeout, quoted(s.region, s.id, s.stage, s.versionID), s}
}

// Fetch implements cache.Source.
func (s *Secrets) Fetch(ctx context.Context, names []string, put func(name string, v *cache.Value, err error)) {
	w := s.deliver(names, put)
	if len(w.resources) > 1 {
		ctx = Limited(ctx)
	}
	for _, r := range w.resources {
		w.start([]*secret{r}, func() {
			v, err := s.getSecretValue(ctx, r)
			w.land(r, v, err)
		})
	}
	w.running.Wait()
}

func (s *Secrets) getSecretValue(ctx context.Context, r *secret) (*cache.Value, error) {
	in := fields{"SecretId": r.id}
	if r.stage != "" {
		in["VersionStage"] = r.stage
	}
	if r.versionID != "" {
		in["VersionId"] = r.versionID
	}
	var out struct {
		SecretString *string
		SecretBinary []byte
	}
	if err := s.clients.in(secretsManager, r.region).call(ctx, "GetSecretValue", in, &out); err != nil {
		return nil, err
	}
	switch {
	case out.SecretString != nil:
		return &cache.Value{Body: []byte(*out.SecretString)}, nil
	case out.SecretBinary != nil:
		return &cache.Value{Body: out.SecretBinary, Binary: true}, nil
	default:
		return nil, errNoValue()
	}
}
