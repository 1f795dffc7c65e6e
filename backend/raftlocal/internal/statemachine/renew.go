package statemachine

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// renew extends claims, and tells how each stands. What has ended stays so.
func (m *Machine) renew(cmd *command.Command, r *command.Reply) {
	r.Code = command.OK
	if len(cmd.Claims) == 0 {
		return
	}
	r.Claims = make([]command.Claim, len(cmd.Claims))
	for i, number := range cmd.Claims {
		r.Claims[i] = command.Claim{Number: number, Code: command.NotHeld}
		if c := m.claims[number]; c != nil {
			m.renewed(c, cmd.Session)
			r.Claims[i].Code, r.Claims[i].Token = c.code(), c.token
		}
	}
}
