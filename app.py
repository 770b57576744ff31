"""Starts the page: `python app.py`, then open the address it prints."""

if __name__ == "__main__":  # each worker process reads this file too, and needs none of it
    from cnn.web import app

    app.main()
