package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// A plot has two panels side by side, in pixels.
const (
	panelWidth, panelHeight = 330, 240
	marginLeft, marginTop   = 60, 50
	panelGap                = 70
	plotWidth, plotHeight   = 2*panelWidth + panelGap + marginLeft + 20, panelHeight + marginTop + 50
)

var colors = []string{"#1b6ca8", "#d1495b", "#2f8f5b", "#8a5fb0"}

// plot draws the CPU time an operation, server and PostgreSQL together, over objects and over buckets.
func (g *growing) plot() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	top := 0.0
	for _, r := range slices.Concat(g.byRows, g.byBuckets) {
		top = max(top, r.cost())
	}
	top = niceTop(top)
	panel(&b, marginLeft, "objects in the bucket", g.byRows, top)
	panel(&b, marginLeft+panelWidth+panelGap, fmt.Sprintf("buckets of %d objects", bucketObjects), g.byBuckets, top)
	for i, a := range acts {
		x := marginLeft + i*150
		fmt.Fprintf(&b, `<rect x="%d" y="12" width="14" height="4" fill="%s"/><text x="%d" y="18">%s</text>`+"\n", x, colors[i], x+20, a.name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (r *grown) cost() float64 { return r.Server + r.Postgres }

// niceTop rounds up to a number that five lines can share.
func niceTop(n float64) float64 {
	unit := math.Pow10(int(math.Floor(math.Log10(max(n, 1)))))
	for _, m := range []float64{1, 2, 5, 10} {
		if n <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

// panel draws one panel whose left edge is at x.
func panel(b *bytes.Buffer, left int, title string, all []grown, top float64) {
	if len(all) == 0 {
		return
	}
	bottom := marginTop + panelHeight
	least, most := math.Log10(float64(all[0].X)), math.Log10(float64(all[len(all)-1].X))
	at := func(n int) float64 {
		return float64(left) + panelWidth*(math.Log10(float64(n))-least)/max(most-least, 1)
	}
	height := func(cost float64) float64 { return float64(bottom) - panelHeight*cost/top }
	for i := range 6 {
		y := height(top * float64(i) / 5)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
			left, y, left+panelWidth, y, left-6, y+4, top*float64(i)/5)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text><text x="%d" y="%d">CPU µs an operation, server and PostgreSQL</text>`+"\n",
		left+panelWidth/2, bottom+34, title, left, marginTop-8)
	for i, a := range acts {
		line := ""
		for _, r := range all {
			if r.Operation != a.name {
				continue
			}
			line += fmt.Sprintf("%.1f,%.1f ", at(r.X), height(r.cost()))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", at(r.X), height(r.cost()), colors[i])
			if i == 0 {
				fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at(r.X), bottom+16, power(r.X))
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", line, colors[i])
	}
}

// power writes a power of ten.
func power(n int) string {
	return fmt.Sprintf(`10<tspan dy="-4" font-size="8">%.0f</tspan>`, math.Log10(float64(n)))
}
