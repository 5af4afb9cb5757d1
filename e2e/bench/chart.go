package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Measures of a chart, in its own units.
const (
	chartWidth = 760
	barsFrom   = 170
	barsWide   = 400
	barHigh    = 14
	barStep    = 20
	groupStep  = 34
)

func (r result) chartFile() string { return "performance-" + r.Name + ".svg" }

// chart draws a group of bars for each figure, as long as the medians are; groups have scales of their own. It is readable on
// light and on dark ground.
func (r result) chart() string {
	var b strings.Builder
	y := 8
	for _, f := range r.Figures {
		y += 16
		fmt.Fprintf(&b, `<text class="title" x="8" y="%d">%s</text>`+"\n", y, escaped(f.heading()))
		y += 8
		longest := 0.0
		for _, s := range f.Subjects {
			longest = max(longest, s.Median)
		}
		line, lined := r.goalLine(f)
		if lined && line <= 2*longest {
			longest = max(longest, line)
		}
		top := y
		for _, s := range f.Subjects {
			class := "other"
			if strings.HasPrefix(s.Name, ours) {
				class = "ours"
			}
			long := 1.0
			if longest > 0 {
				long = max(1, barsWide*s.Median/longest)
			}
			text := number(s.Median)
			if s.Ratio > 0 && s.Name != r.Reference {
				text += fmt.Sprintf(" · × %.2f", s.Ratio)
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", barsFrom-8, y+11, escaped(s.Name))
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, barsFrom, y, long, barHigh)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", barsFrom+long+6, y+11, escaped(text))
			y += barStep
		}
		if lined && line <= longest {
			x := barsFrom + barsWide*line/longest
			fmt.Fprintf(&b, `<line class="goal" x1="%.1f" y1="%d" x2="%.1f" y2="%d"><title>goal</title></line>`+"\n", x, top-2, x, y-barStep+barHigh+2)
		}
		y += groupStep - barStep
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", chartWidth, y, escaped(r.Title)) +
		chartStyle + b.String() + "</svg>\n"
}

// goalLine is where the goal of a figure is, on the scale of its bars.
func (r result) goalLine(f figureResult) (float64, bool) {
	if f.Goal.Value > 0 {
		return f.Goal.Value, true
	}
	s, ok := f.subject(r.Reference)
	return f.Goal.Ratio * s.Median, ok && f.Goal.Ratio > 0
}

const chartStyle = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.ours { fill: #1f6feb }
.other { fill: #8b949e }
.goal { stroke: #bf3989; stroke-width: 2; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #58a6ff } .goal { stroke: #f778ba } }
</style>
`

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}
