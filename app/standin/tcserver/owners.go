package tcserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"mssentinel/app/standin/tcserver/tql"
)

// Owners returns the owners that the user sees.
func (s *Server) Owners() []Owner {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	return slices.Clone(s.table.owners)
}

// SetPermission sets what the user may do with the indicators of an owner: FULL, READ or NONE. The owner stays in the
// list.
func (s *Server) SetPermission(name, permission string) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	for i := range s.table.owners {
		if s.table.owners[i].Name == name {
			s.table.owners[i].Permission = permission
			s.table.forgetResults()
			return nil
		}
	}
	return fmt.Errorf("there is no owner %q", name)
}

// RemoveOwner hides an owner and its indicators from the user, as if it had left the Community.
func (s *Server) RemoveOwner(name string) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	at := slices.IndexFunc(s.table.owners, func(o Owner) bool { return o.Name == name })
	if at < 0 {
		return fmt.Errorf("there is no owner %q", name)
	}
	s.table.owners = slices.Delete(s.table.owners, at, at+1)
	s.table.forgetResults()
	return nil
}

// AddOwner shows an owner to the user, with the indicators that it had before it was removed.
func (s *Server) AddOwner(o Owner) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if known := s.table.known[o.Name]; known != nil && known.id != o.ID {
		return fmt.Errorf("the owner %q has the id %d", o.Name, known.id)
	}
	if slices.ContainsFunc(s.table.owners, func(other Owner) bool { return other.ID == o.ID || other.Name == o.Name }) {
		return fmt.Errorf("the owner %q or one with the id %d is there already", o.Name, o.ID)
	}
	if s.table.known[o.Name] == nil {
		s.table.known[o.Name] = &owner{o.ID, o.Name}
	}
	s.table.owners = append(s.table.owners, o)
	s.table.forgetResults()
	return nil
}

// ManyOwners makes n Communities and Sources without indicators, since there are instances with hundreds of them.
func ManyOwners(n int) []Owner {
	owners := make([]Owner, n)
	for i := range owners {
		kind := []string{"Community", "Source"}[i%2]
		owners[i] = Owner{ID: int64(50_000 + i), Name: fmt.Sprintf("Example %s %03d", kind, i), Type: kind}
	}
	return owners
}

// ownOrganization is the user's own; the caller holds the lock.
func (t *table) ownOrganization() Owner {
	for _, o := range t.owners {
		if o.Type == "Organization" {
			return o
		}
	}
	return Owner{}
}

// readableOwner returns the owner's name, or why its indicators cannot be read. The empty name names none.
func (t *table) readableOwner(name string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.owners {
		if o.Name != name {
			continue
		}
		if o.Permission == "NONE" {
			return "", newRefusal(http.StatusForbidden, codeForbidden, "Access Denied")
		}
		return name, nil
	}
	if name == "" {
		return "", nil
	}
	return "", newRefusal(http.StatusForbidden, codeForbidden, "The requested owner was not found")
}

// ownerSchema are the keywords of /v3/security/owners, app/docs/threatconnect.md#owners.
var ownerSchema = sync.OnceValue(func() tql.Schema[Owner] { return tql.NewSchema(ownerKeywords()) })

// ownerKeywords are those of OPTIONS /v3/security/owners/tql.
var ownerKeywords = sync.OnceValue(func() []tql.Field[Owner] {
	all := []tql.Field[Owner]{
		{Name: "id", Type: tql.Integer},
		{Name: "ownerId", Type: tql.Integer, Number: func(o Owner) (int64, bool) { return o.ID, true }},
		{Name: "ownerName", Type: tql.Text, Texts: func(o Owner, yield func(string) bool) { yield(o.Name) }},
		{Name: "permIndicator", Type: tql.Text, Texts: func(o Owner, yield func(string) bool) { yield(o.effectivePermission()) }},
		{Name: "userId", Type: tql.Integer},
	}
	for _, name := range otherPermissions {
		all = append(all, tql.Field[Owner]{Name: name, Type: tql.Text, Texts: func(_ Owner, yield func(string) bool) { yield("READ") }})
	}
	return append(all, tql.Field[Owner]{Name: "permTrack", Type: tql.Text}) // no member of the rows
})

var otherPermissions = strings.Fields("permApps permArtifact permAttribute permAttributeType permCaseTag permComment permCopyData permGroup" +
	" permInvite permMembers permPlaybooks permPlaybooksExecute permPost permPublish permSecurityLabel permSettings permTag permTask" +
	" permTimeline permUsers permVictim permWorkflowTemplate")

func (o Owner) effectivePermission() string {
	if o.Permission == "" {
		return "FULL"
	}
	return o.Permission
}

// getOwners answers GET /v3/security/owners.
func (s *Server) getOwners(r *http.Request, p parameters, entry *Request) (answer, error) {
	owners := s.Owners()
	if text := p.firstValue("tql"); strings.TrimSpace(text) != "" {
		tree, err := tql.Parse(text)
		if err != nil {
			return answer{}, newTQLRefusal(err)
		}
		q, err := ownerSchema().Compile(tree, s.now())
		if err != nil {
			return answer{}, newTQLRefusal(err)
		}
		owners = slices.DeleteFunc(owners, func(o Owner) bool { return !q.Match(o) })
	}
	w, err := s.cutPage(r, p, len(owners))
	if err != nil {
		return answer{}, err
	}
	rows := []map[string]any{}
	for _, o := range owners[w.start:w.end] {
		row := map[string]any{"id": o.ID, "name": o.Name, "type": o.Type, "ownerRole": "Director", "permIndicator": o.effectivePermission()}
		for _, name := range otherPermissions {
			row[name] = "READ"
		}
		rows = append(rows, row)
	}
	entry.Rows = len(rows)
	count := -1
	if p.isTrue("count") && w.first {
		count = len(owners)
	}
	return listAnswer(rows, w, count), nil
}

func (o Owner) asV2() map[string]any {
	return map[string]any{"id": o.ID, "name": o.Name, "type": o.Type}
}

func successV2(data map[string]any) (answer, error) {
	return jsonAnswer(http.StatusOK, map[string]any{"status": "Success", "data": data}), nil
}

// getOwnersV2 answers GET /v2/owners.
func (s *Server) getOwnersV2(*http.Request, parameters, *Request) (answer, error) {
	rows := []map[string]any{}
	for _, o := range s.Owners() {
		rows = append(rows, o.asV2())
	}
	return successV2(map[string]any{"resultCount": len(rows), "owner": rows})
}

// getOwnOwner answers GET /v2/owners/mine.
func (s *Server) getOwnOwner(*http.Request, parameters, *Request) (answer, error) {
	s.table.mu.Lock()
	o := s.table.ownOrganization()
	s.table.mu.Unlock()
	return successV2(map[string]any{"owner": o.asV2()})
}

// getWhoAmI answers GET /v2/whoami.
func (s *Server) getWhoAmI(r *http.Request, _ parameters, _ *Request) (answer, error) {
	credentials, _ := strings.CutPrefix(r.Header.Get("Authorization"), "TC ")
	accessID, _, _ := strings.Cut(credentials, ":")
	s.mu.Lock()
	if !slices.ContainsFunc(s.users, func(u User) bool { return u.AccessID == accessID }) {
		accessID = s.users[0].AccessID // the owner of the tokens
	}
	s.mu.Unlock()
	return successV2(map[string]any{"user": map[string]any{
		"userName": accessID, "firstName": "Demo", "lastName": "Service", "pseudonym": "demo-service", "role": "Api User",
	}})
}
