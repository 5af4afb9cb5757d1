package main

import (
	"context"
	"os"
	"runtime"
)

func sizeRow() row {
	return row{
		name:      "size",
		title:     "Size of the program",
		about:     "Static and stripped, as it is deployed.",
		rounds:    1,
		reference: floorNetHTTP,
		figures: []figure{
			{name: "amd64", title: "x86-64", unit: "MB", goal: goal{Value: 7.5}},
			{name: "arm64", title: "arm64", unit: "MB", goal: goal{Value: 7.5}},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.withFloors(ctx, floorNetHTTP, floorByHand)
			if err != nil {
				return nil, nil, err
			}
			architectures := []string{"amd64", "arm64"}
			if b.quick {
				architectures = []string{runtime.GOARCH} // the other may take a minute to build
			}
			return subjects(programs, func(ctx context.Context, p program) (sample, error) {
				s := make(sample)
				for _, goarch := range architectures {
					file, err := b.build(ctx, p.dir, p.pkg, goarch)
					if err != nil {
						return nil, err
					}
					info, err := os.Stat(file)
					if err != nil {
						return nil, err
					}
					s[goarch] = float64(info.Size()) / 1e6
				}
				return s, nil
			}), nil, nil
		},
	}
}
