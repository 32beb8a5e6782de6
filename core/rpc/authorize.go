package rpc

import (
	"errors"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/fault"
)

// client returns who makes the request; nil where the server asks nobody.
func (c *call) client() *access.Client {
	client, _ := c.request.Client().(*access.Client)
	return client
}

// authorize checks that the client may do what the method does. The requests of a batch are checked one by one.
func (c *call) authorize(m *method) error {
	return denied(c.client().Permits(m.verb, c.caller.Bucket))
}

// denied turns a refusal into its fault.
func denied(err error) error {
	if errors.Is(err, access.ErrDenied) {
		return fault.New(fault.AccessDenied, "%s", err)
	}
	return err
}

// maxAudited bounds the text of SQL in the audit log, in bytes.
const maxAudited = 4 << 10

// audit notes what the request has done in the log for that, if there is one.
func (c *call) audit(m *method, err error) {
	if !m.audited || !c.Journal.audits() {
		return
	}
	client, roles := c.request.RemoteAddr(), ""
	if who := c.client(); who != nil {
		client, roles = who.Name, who.RoleNames()
	}
	attrs := []any{"route", c.request.Method, "client", client, "address", c.request.RemoteAddr(), "req_id", c.options.requestID}
	if roles != "" {
		attrs = append(attrs, "roles", roles)
	}
	if c.caller.Bucket != "" {
		attrs = append(attrs, "bucket", c.caller.Bucket)
	}
	if m.bucket < 0 { // sql
		text := c.text(0)
		attrs = append(attrs, "sql", text[:min(len(text), maxAudited)])
	}
	if err != nil {
		c.Journal.Audit.Warn("audit: refused or failed", append(attrs, "err", err)...)
		return
	}
	c.Journal.Audit.Info("audit: done", attrs...)
}
