package config

// secret reads one entry of the section secrets.
func (p *parser) secret(m mapping) {
	e := p.entry(m, ":")
	var stage, version string
	value(p, m, "stage", parseText, &stage)
	value(p, m, "version_id", parseText, &version)
	for _, name := range p.names(m, "name", "names") {
		var from arn
		if isARN(name.text) {
			var err error
			if from, err = parseARN(name.text, "secretsmanager", "secret:"); err != nil {
				p.misnamed(m, name, err)
				continue
			}
		}
		one, ok := p.each(m, e, name, from.region, name.form)
		if !ok {
			continue
		}
		p.claim(p.secrets, m, name, one)
		p.cfg.Secrets = append(p.cfg.Secrets, Secret{Entry: one, ID: name.text, Stage: stage, VersionID: version})
	}
}
