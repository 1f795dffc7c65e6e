// Package claims has what several backends need for the claims that they keep: owners
// that were released and must stay out, and classes of TTLs for sessions that serve many
// claims.
package claims
