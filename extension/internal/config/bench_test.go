package config

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse reads a file of 60 entries, 20 of each kind, as every start does.
func BenchmarkParse(b *testing.B) {
	var file strings.Builder
	file.WriteString("parameters:\n")
	for i := range 20 {
		fmt.Fprintf(&file, "  - name: /app/p%d\n    ttl: 30s\n", i)
	}
	file.WriteString("secrets:\n")
	for i := range 20 {
		fmt.Fprintf(&file, "  - name: app/s%d\n", i)
	}
	file.WriteString("dynamodb:\n")
	for i := range 20 {
		fmt.Fprintf(&file, "  - table: Users\n    key: {id: v%d}\n", i)
	}
	data := []byte(file.String())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("config.yaml", data, Options{Env: []string{"AWS_REGION=us-east-1"}}); err != nil {
			b.Fatal(err)
		}
	}
}
