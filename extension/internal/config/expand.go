package config

import (
	"errors"
	"fmt"
	"strings"
)

// expand replaces each ${NAME} and ${NAME:-default} in text by the variable's value, once: what a value holds is not
// looked at again, nor is a default, which may therefore not hold ${. $${ stands for ${ itself. Errors name variables, never values.
func (env environment) expand(text string) (string, error) {
	return env.expandAs(text, func(value string) string { return value })
}

// expandAs is expand with as(value) in the place of each value, and of the characters ${ that $${ stands for.
func (env environment) expandAs(text string, as func(value string) string) (string, error) {
	var b strings.Builder
	for {
		dollar := strings.IndexByte(text, '$')
		if dollar < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:dollar])
		text = text[dollar:]
		switch {
		case strings.HasPrefix(text, "$${"):
			b.WriteString(as("${"))
			text = text[len("$${"):]
		case strings.HasPrefix(text, "${"):
			end := strings.IndexByte(text, '}')
			if end < 0 {
				return "", errors.New("${ has no closing } (write $${ for the characters ${ themselves)")
			}
			value, err := env.variable(text[len("${"):end])
			if err != nil {
				return "", err
			}
			b.WriteString(as(value))
			text = text[end+1:]
		default:
			b.WriteByte('$')
			text = text[1:]
		}
	}
}

// variable returns the value of what stands between ${ and }. As in a shell, the default is also taken for an empty variable.
func (env environment) variable(inner string) (string, error) {
	name, standby, hasDefault := strings.Cut(inner, ":-")
	if !isVariable(name) {
		return "", malformed(inner)
	}
	switch name {
	case envSecretAccessKey, envSessionToken, envContainerToken:
		return "", fmt.Errorf("${%s} is a credential, which has no place in a configuration", name)
	}
	if strings.Contains(standby, "${") {
		return "", fmt.Errorf("${%s:-default} has ${ in its default, which is never expanded (write the default without ${)", name)
	}
	value, set := env[name]
	switch {
	case hasDefault && value == "":
		return standby, nil
	case !set:
		return "", fmt.Errorf("${%s} is not set (set it, or write ${%s:-default})", name, name)
	}
	return value, nil
}

// malformed is what stands between ${ and } and names no variable.
type malformed string

func (inner malformed) Error() string {
	return quote("${"+string(inner)+"}") + " is neither ${NAME} nor ${NAME:-default} (write $${ for the characters ${ themselves)"
}

// isVariable reports whether name can be the name of an environment variable: letters, digits and _, not beginning with a digit.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}
