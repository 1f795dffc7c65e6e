// Package nearest finds the word that somebody meant who has misspelt it.
package nearest

import "strings"

// Word returns the one of words that is most like the given one; "" if none is like it. Case,
// and the signs - _ + and . do not count. The earlier of two that are as near is taken.
func Word(given string, words []string) string {
	best, least := "", len(plain(given))/3+1
	for _, w := range words {
		if d := distance(plain(given), plain(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

var signs = strings.NewReplacer("-", "", "_", "", "+", "", ".", "")

func plain(word string) string { return signs.Replace(strings.ToLower(word)) }

// distance counts the letters that must be put in, left out, changed, or swapped with the next
// one, to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := last[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(last[j]+1, row[j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
