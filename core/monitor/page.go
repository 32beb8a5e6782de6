package monitor

import (
	"embed"
	"net/http"
)

// The status page is three files, which a browser gets as they are. What they show they fetch from /kang/snapshot, /metrics and /readyz.
//
//go:embed page
var page embed.FS

var pageFiles = map[string]struct{ name, mediaType string }{
	"/":           {"page/status.html", "text/html; charset=utf-8"},
	"/status.css": {"page/status.css", "text/css; charset=utf-8"},
	"/status.js":  {"page/status.js", "text/javascript; charset=utf-8"},
}

// pagePolicy lets the page load nothing from elsewhere, and run nothing but its script: names of buckets and methods are up to clients.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func servePage(w http.ResponseWriter, r *http.Request) {
	file := pageFiles[r.URL.Path]
	text, err := page.ReadFile(file.name)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.Header().Set("Content-Type", file.mediaType)
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache") // another version may answer next time
	w.Write(text)
}
