package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The functions below turn the text of a setting into its value, whether it comes from the file or from the environment.
// Their errors continue a sentence that begins with that text.

// maxDuration keeps the sum of any two durations, and any instant computed with it, far from overflowing.
const maxDuration = 876000 * time.Hour

// duration is the form of what time.ParseDuration reads. All it refuses of that form is what overflows.
const duration = `^[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$`

func parseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, errors.New("is empty (write a duration, such as 60s)")
	}
	d, err := time.ParseDuration(text)
	if err != nil && regexp.MustCompile(duration).MatchString(text) {
		d, err = math.MaxInt64, nil
		if text[0] == '-' {
			d = math.MinInt64
		}
	}
	switch {
	case err != nil:
		if _, err := strconv.ParseUint(text, 10, 64); err == nil {
			return 0, fmt.Errorf("has no unit (write a unit, such as %ss)", text)
		}
		return 0, errors.New("is not a duration (write one such as 500ms, 60s, 5m or 12h)")
	case d < 0:
		return 0, errors.New("is negative")
	case d > maxDuration:
		return 0, errors.New("is more than 876000h, a hundred years")
	}
	return d, nil
}

// parseBound is parseDuration for what must leave some time.
func parseBound(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && d == 0 {
		return 0, errors.New("leaves no time at all (write a duration, such as 2s)")
	}
	return d, err
}

func parseBool(text string) (bool, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, errors.New("is neither true nor false")
	}
	return b, nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("is not a port (a whole number from 0 to 65535; 0 takes a free one)")
	}
	return int(n), nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, errors.New("is not a whole number of at least 1")
	}
	return int(n), nil
}

// maxSize is the most that a size may be: more than a function's whole memory is worth.
const maxSize = 512 << 20

// parseSize reads a number of bytes.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BKMi")
	shift, known := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20}[text[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange) && known, err == nil && known && n > maxSize>>shift:
		return 0, errors.New("is more than 512MiB")
	case err != nil || !known:
		return 0, errors.New("is not a size (write one such as 64KiB or 16MiB)")
	case n == 0:
		return 0, errors.New("leaves no room at all (write a size, such as 16MiB)")
	}
	return int64(n) << shift, nil
}

// parseVersion returns the version of a parameter as it is sent to AWS.
func parseVersion(text string) (string, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		return "", errors.New("is not a version (a whole number of at least 1; for a label write label)")
	}
	return strconv.FormatUint(n, 10), nil
}

func parseLabel(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("is empty")
	case '0' <= text[0] && text[0] <= '9':
		return "", errors.New("begins with a digit, which no label does (for a version write version)")
	case strings.Contains(text, ":"):
		return "", errors.New("holds a colon, which no label does")
	}
	return text, nil
}

func parseText(text string) (string, error) {
	if text == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}

func parseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, errors.New("is not a level (debug, info, warn or error)")
}

// parseRegion refuses what cannot be part of a host name. AWS adds regions, and stand-ins for AWS invent them.
func parseRegion(text string) (string, error) {
	if text == "" || len(text) > 63 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		strings.HasPrefix(text, "-") || strings.HasSuffix(text, "-") {
		return "", errors.New("is not a region (such as us-west-2)")
	}
	return text, nil
}

// checkPath returns what keeps text from being the path of a tree of parameters, or nil.
func checkPath(text string) error {
	switch {
	case !strings.HasPrefix(text, "/"):
		return errors.New("is not a path (begin it with /)")
	case strings.Contains(text, ":"):
		return errors.New("holds a colon, which no path does")
	}
	return nil
}

// parseKeyType checks the type of a key attribute.
func parseKeyType(text string) (string, error) {
	switch text {
	case "S", "N", "B":
		return text, nil
	}
	return "", errors.New("is not the type of a key (S, N or B)")
}
