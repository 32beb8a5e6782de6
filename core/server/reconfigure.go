package server

import (
	"fmt"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/rpc"
)

// Reconfigure takes over what can change while the server runs: access, and what is noted about requests. The rest of c is not looked
// at; [config.Reloadable] says which is which. It may be called at any time.
func (s *Server) Reconfigure(c *config.Config) error {
	level, err := bunyan.ParseLevel(c.Requests.Log)
	if err != nil {
		return fmt.Errorf("config.requests.log: %w", err)
	}
	s.gate.Set(policy(&c.Access))
	s.watcher.Set(&access.Policy{Networks: c.Access.MonitorNetworks})
	s.journal.Set(rpc.JournalSettings{Access: level, Slow: c.Requests.Slow, Audit: c.Access.Audit})
	return nil
}

// policy returns what the configuration says of access, or nil if it says nothing.
func policy(a *config.Access) *access.Policy {
	if len(a.Networks) == 0 && len(a.Roles) == 0 && access.SQLMode(a.SQL) == access.SQLOn {
		return nil
	}
	p := &access.Policy{Networks: a.Networks, SQL: access.SQLMode(a.SQL)}
	for _, r := range a.Roles {
		role := access.Role{Name: r.Name, Networks: r.Networks, Subjects: r.Subjects, Buckets: r.Buckets}
		for _, v := range r.Permit {
			role.Permit = append(role.Permit, access.Verb(v))
		}
		p.Roles = append(p.Roles, role)
	}
	return p
}
