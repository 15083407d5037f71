"""Words as synthesisers have to see them to say them right."""


def spoken_form(text: str) -> str:
    """The text with letters that are spelled such that they are read as letters.

    An "a" beside another single letter, or alone, is the letter and not the article.

    Example:

        >>> spoken_form("b a c."), spoken_form("take a seat."), spoken_form("a")
        ('b ay c.', 'take a seat.', 'ay')
    """
    words = text.split(" ")
    bare = [word.strip(".,?!") for word in words]
    letters = [len(word) == 1 and word.isalpha() for word in bare]
    for place, word in enumerate(bare):
        beside = letters[max(0, place - 1) : place] + letters[place + 1 : place + 2]
        if word.lower() == "a" and (any(beside) or len(words) == 1):
            words[place] = words[place].replace(word, "ay", 1)
    return " ".join(words)
